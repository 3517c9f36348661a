import { useQuery } from '@apollo/client/react';
import { Anchor } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link, useParams } from 'wouter';

import { ErrorMessage } from '../app/ErrorMessage';
import { asFailure } from '../app/errors';
import { Loading } from '../app/Loading';
import { studyPath } from '../app/routes';
import { useSession } from '../app/session';
import { usePageTitle } from '../components/Page';
import { nameGroups } from '../components/PersonName';
import type { ViewerPageQuery } from '../graphql/generated/graphql';
import { Missing } from '../study/Missing';
import { loadEngine } from './loadEngine';
import { VIEWER_PAGE } from './operations';
import { Viewer } from './Viewer';
import classes from './Viewer.module.css';

export type StudyOfViewer = NonNullable<ViewerPageQuery['study']>;

// beside the answer of the API, which takes as long
void loadEngine().catch(() => undefined);

export default function ViewerRoute() {
  const { orthancId = '' } = useParams();
  const { data, error, refetch } = useQuery(VIEWER_PAGE, { variables: { orthancId } });
  if (data?.study) return <ViewerPage key={orthancId} study={data.study} />;
  const isMalformed = error && asFailure(error).code === 'BAD_USER_INPUT';
  if (error && !isMalformed) return <ErrorMessage error={error} retry={() => void refetch()} />;
  return data || isMalformed ? <Missing what="study" /> : <Loading />;
}

function ViewerPage({ study }: { study: StudyOfViewer }) {
  const { t } = useTranslation('viewer');
  const { may } = useSession();
  const { patient } = study;
  usePageTitle([nameGroups(patient.name)[0] ?? patient.patientId, t('title')].filter(Boolean).join(' – '));
  const obstacle = may('DOWNLOAD') ? study.series.length === 0 && t('noSeries') : t('mayNot');
  if (!obstacle) return <Viewer study={study} />;
  return (
    <div className={classes.obstacle}>
      <h1>{t('title')}</h1>
      <p>{obstacle}</p>
      <Anchor component={Link} href={studyPath(study.orthancId)}>
        {t('back')}
      </Anchor>
    </div>
  );
}
