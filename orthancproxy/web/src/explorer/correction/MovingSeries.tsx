import { useQuery } from '@apollo/client/react';
import { List, Stack, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { ScrollRegion } from '../components/ScrollRegion';
import type { SeriesCardFragment } from '../graphql/generated/graphql';
import { formatNumber } from '../i18n/format';
import { StudyName } from './OtherStudies';
import { SERIES_OF_STUDY } from './operations';

interface MovingSeriesProps {
  /** From which they move. */
  studies: readonly string[];
  /** Those that move; by default all. */
  only?: readonly string[];
}

/** The series that a change moves to another study, as they are now. */
export function MovingSeries({ studies, only }: MovingSeriesProps) {
  const { t } = useTranslation('correction');
  return (
    <ScrollRegion title={t('moving')} maxHeight="30vh">
      <Stack gap="xs">
        {studies.map((orthancId) => (
          <SeriesOfStudy key={orthancId} orthancId={orthancId} only={only} />
        ))}
      </Stack>
    </ScrollRegion>
  );
}

function SeriesOfStudy({ orthancId, only }: { orthancId: string } & Pick<MovingSeriesProps, 'only'>) {
  const { data, error, refetch } = useQuery(SERIES_OF_STUDY, { variables: { orthancId }, fetchPolicy: 'network-only' });
  if (error) return <ErrorMessage error={error} retry={() => void refetch()} />;
  if (!data) return <Loading />;
  const { study } = data;
  if (!study) return null;
  return (
    <div>
      {!only && (
        <Text size="sm">
          <StudyName study={study} />
        </Text>
      )}
      <List size="sm">
        {study.series
          .filter((series) => !only || only.includes(series.orthancId))
          .map((series) => (
            <List.Item key={series.id}>
              <SeriesName series={series} />
            </List.Item>
          ))}
      </List>
    </div>
  );
}

/** A series in words. */
export function SeriesName({ series }: { series: SeriesCardFragment }) {
  const { t } = useTranslation('correction');
  const { modality, seriesNumber, description, instancesCount: count } = series;
  return (
    <>
      {[modality, seriesNumber].filter((fact) => fact !== null).map((fact) => `${fact} · `)}
      <bdi dir="auto">{description || t('noDescription')}</bdi>
      {` · ${t('instances', { count, number: formatNumber(count) })}`}
    </>
  );
}
