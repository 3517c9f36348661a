import { useQuery } from '@apollo/client/react';
import { Button, Menu, Title } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import {
  IconArrowMerge,
  IconArrowsSplit,
  IconDots,
  IconDownload,
  IconExternalLink,
  IconListSearch,
  IconMaskOff,
  IconPencil,
  IconPhoto,
  IconSend,
  IconShare,
  IconTrash,
} from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { Link, useParams } from 'wouter';

import { ErrorMessage } from '../app/ErrorMessage';
import { asFailure } from '../app/errors';
import { Loading } from '../app/Loading';
import { auditPath, viewerPath } from '../app/routes';
import { useSession } from '../app/session';
import { useOnDemand } from '../app/useOnDemand';
import { usePageTitle } from '../components/Page';
import { nameGroups } from '../components/PersonName';
import { Section } from '../components/Section';
import { useChangeDialog } from '../correction/useChangeDialog';
import type { StudyPageQuery } from '../graphql/generated/graphql';
import i18n from '../i18n';
import { formatDate, formatDateTime, formatName, formatNumber, formatTime } from '../i18n/format';
import { DeleteDialog } from './DeleteDialog';
import { EditableLabels } from './EditableLabels';
import { type Fact, Facts } from './Facts';
import { Missing } from './Missing';
import { Modalities } from './Modalities';
import { Neighbours } from './Neighbours';
import { STUDY_PAGE } from './operations';
import { PatientHeader } from './PatientHeader';
import { ResourceTags } from './ResourceTags';
import { SeriesDrawer } from './SeriesDrawer';
import { SeriesGrid } from './SeriesGrid';
import { ShareDialog } from './ShareDialog';
import classes from './Study.module.css';

export type StudyOfPage = NonNullable<StudyPageQuery['study']>;

export default function StudyRoute() {
  const { orthancId = '' } = useParams();
  const { data, error, refetch } = useQuery(STUDY_PAGE, {
    variables: { orthancId },
    fetchPolicy: 'cache-and-network',
  });
  if (data?.study) return <StudyPage key={orthancId} study={data.study} onChange={() => void refetch()} />;
  const isMalformed = error && asFailure(error).code === 'BAD_USER_INPUT';
  if (error && !isMalformed) return <ErrorMessage error={error} retry={() => void refetch()} />;
  return data || isMalformed ? <Missing what="study" /> : <Loading />;
}

function StudyPage({ study, onChange }: { study: StudyOfPage; onChange: () => void }) {
  const { t } = useTranslation('study');
  const { patient } = study;
  const title = study.description || t('noDescription');
  usePageTitle([nameGroups(patient.name)[0] ?? patient.patientId, title].filter(Boolean).join(' – '));
  return (
    <article className={classes.page}>
      <PatientHeader patient={patient} studyDate={study.studyDate} linked />
      <header className={classes.head}>
        <div className={classes.titles}>
          <Title order={1} size="h3" className={study.description ? classes.title : classes.untitled}>
            <bdi dir="auto">{title}</bdi>
          </Title>
          <p className={classes.when}>
            <Modalities modalities={study.modalities} />
            <span>{[formatDate(study.studyDate), formatTime(study.studyTime)].filter(Boolean).join(' · ')}</span>
            <span className={classes.counts}>
              {t('series', { count: study.series.length, number: formatNumber(study.series.length) })}
              {' · '}
              {t('instances', { count: study.instancesCount, number: formatNumber(study.instancesCount) })}
            </span>
            {!study.isStable && <span className={classes.arriving}>{t('isArriving')}</span>}
          </p>
          <EditableLabels level="STUDY" orthancId={study.orthancId} labels={study.labels} />
        </div>
        <StudyActions study={study} />
      </header>
      <Facts facts={factsOf(study, t)} />
      <div className={classes.columns}>
        <div className={classes.main}>
          <SeriesGrid series={study.series} />
          <Section title={t('details.title')}>
            <ResourceTags id={study.id} level="STUDY" />
          </Section>
        </div>
        <Neighbours study={study} />
      </div>
      <SeriesDrawer study={study} onDeleted={onChange} />
    </article>
  );
}

/** With its texts: a component that waits for them would have the page wait. */
async function loadSending() {
  const [dialog] = await Promise.all([import('../jobs/SendDialog'), i18n.loadNamespaces('jobs')]);
  return dialog;
}

async function loadAnonymizing() {
  const [dialog] = await Promise.all([import('../anonymize/AnonymizeDialog'), i18n.loadNamespaces('anonymize')]);
  return dialog;
}

function StudyActions({ study }: { study: StudyOfPage }) {
  const { t } = useTranslation('study');
  const { may } = useSession();
  const [isSending, sending] = useDisclosure(false);
  const [SendDialog, loadSendDialog] = useOnDemand(loadSending);
  const [isAnonymizing, anonymizing] = useDisclosure(false);
  const [AnonymizeDialog, loadAnonymizeDialog] = useOnDemand(loadAnonymizing);
  const [isSharing, sharing] = useDisclosure(false);
  const [isDeleting, deleting] = useDisclosure(false);
  const correction = useChangeDialog('correct', { level: 'STUDY', id: study.id, orthancId: study.orthancId });
  const ids = { studyOrthancId: study.orthancId, patientOrthancId: study.patient.orthancId };
  const merging = useChangeDialog('merge', ids);
  const moving = useChangeDialog('move', { ...ids, series: study.series });
  return (
    <div className={classes.actions}>
      {may('DOWNLOAD') && study.series.length > 0 && (
        <Button component={Link} href={viewerPath(study.orthancId)} leftSection={<IconPhoto size={16} />}>
          {t('actions.openViewer')}
        </Button>
      )}
      {study.viewerUrl && (
        <Button
          component="a"
          href={study.viewerUrl}
          target="_blank"
          rel="noopener"
          variant="light"
          leftSection={<IconExternalLink size={16} />}
        >
          {t('actions.openExternal')}
        </Button>
      )}
      {may('DOWNLOAD') && (
        <Button component="a" href={study.archiveUrl} variant="default" leftSection={<IconDownload size={16} />}>
          {t('actions.download')}
        </Button>
      )}
      {may('SEND') && (
        <>
          <Button
            variant="default"
            leftSection={<IconSend size={16} />}
            onClick={() => {
              loadSendDialog();
              sending.open();
            }}
          >
            {t('actions.send')}
          </Button>
          {SendDialog && <SendDialog studyOrthancId={study.orthancId} opened={isSending} onClose={sending.close} />}
        </>
      )}
      {may('SHARE') && (
        <>
          <Button variant="default" leftSection={<IconShare size={16} />} onClick={sharing.open}>
            {t('actions.share')}
          </Button>
          <ShareDialog studyOrthancId={study.orthancId} opened={isSharing} onClose={sharing.close} />
        </>
      )}
      {(may('MODIFY') || may('ANONYMIZE') || may('DELETE') || may('VIEW_AUDIT')) && (
        <MoreMenu
          studyInstanceUID={study.studyInstanceUID}
          onCorrect={correction.open}
          onMerge={study.patient.studiesCount > 1 ? merging.open : undefined}
          onMove={moving.open}
          onAnonymize={() => {
            loadAnonymizeDialog();
            anonymizing.open();
          }}
          onDelete={deleting.open}
        />
      )}
      {AnonymizeDialog && (
        <AnonymizeDialog studyOrthancId={study.orthancId} opened={isAnonymizing} onClose={anonymizing.close} />
      )}
      {correction.dialog}
      {merging.dialog}
      {moving.dialog}
      <DeleteDialog
        level="STUDY"
        orthancId={study.orthancId}
        patient={study.patient}
        opened={isDeleting}
        onClose={deleting.close}
      />
    </div>
  );
}

interface MoreMenuProps {
  studyInstanceUID: string;
  onCorrect: () => void;
  /** Undefined if there is nothing to merge with. */
  onMerge: (() => void) | undefined;
  onMove: () => void;
  onAnonymize: () => void;
  onDelete: () => void;
}

/** What is seldom needed, and not to be clicked in passing. */
function MoreMenu({ studyInstanceUID, onCorrect, onMerge, onMove, onAnonymize, onDelete }: MoreMenuProps) {
  const { t } = useTranslation('study');
  const { may } = useSession();
  return (
    <Menu position="bottom-end" shadow="md">
      <Menu.Target>
        <Button variant="default" px="xs" aria-label={t('actions.more')}>
          <IconDots size={16} aria-hidden="true" />
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {may('MODIFY') && (
          <>
            <Menu.Item leftSection={<IconPencil size={16} aria-hidden="true" />} onClick={onCorrect}>
              {t('actions.correct')}
            </Menu.Item>
            {onMerge && (
              <Menu.Item leftSection={<IconArrowMerge size={16} aria-hidden="true" />} onClick={onMerge}>
                {t('actions.merge')}
              </Menu.Item>
            )}
            <Menu.Item leftSection={<IconArrowsSplit size={16} aria-hidden="true" />} onClick={onMove}>
              {t('actions.move')}
            </Menu.Item>
          </>
        )}
        {may('VIEW_AUDIT') && (
          <Menu.Item
            component={Link}
            href={auditPath({ study: studyInstanceUID })}
            leftSection={<IconListSearch size={16} aria-hidden="true" />}
          >
            {t('actions.audit')}
          </Menu.Item>
        )}
        {may('ANONYMIZE') && (
          <Menu.Item leftSection={<IconMaskOff size={16} aria-hidden="true" />} onClick={onAnonymize}>
            {t('actions.anonymize')}
          </Menu.Item>
        )}
        {may('DELETE') && (
          <Menu.Item
            color="var(--mantine-color-red-light-color)"
            leftSection={<IconTrash size={16} aria-hidden="true" />}
            onClick={onDelete}
          >
            {t('actions.delete')}
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

function factsOf(study: StudyOfPage, t: ReturnType<typeof useTranslation<'study'>>['t']): Fact[] {
  return [
    [t('facts.accessionNumber'), study.accessionNumber],
    [t('facts.referringPhysician'), formatName(study.referringPhysicianName ?? '')],
    [t('facts.institution'), study.institutionName],
    [t('facts.studyId'), study.studyId],
    [t('facts.lastUpdate'), formatDateTime(study.lastUpdate)],
  ];
}
