import { useQuery } from '@apollo/client/react';
import { Button, Drawer, Tabs } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconArrowLeft, IconDownload, IconPencil, IconTrash } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'wouter';

import { useSession } from '../app/session';
import { useChangeDialog } from '../correction/useChangeDialog';
import type { SeriesCardFragment, StudyPageQuery } from '../graphql/generated/graphql';
import { formatDate, formatNumber, formatTime } from '../i18n/format';
import { DeleteDialog } from './DeleteDialog';
import { EditableLabels } from './EditableLabels';
import { Facts } from './Facts';
import { Instances } from './Instances';
import { SERIES_FACTS } from './operations';
import { ResourceTags } from './ResourceTags';
import classes from './SeriesDrawer.module.css';
import { TagBrowser } from './TagBrowser';

interface SeriesDrawerProps {
  study: NonNullable<StudyPageQuery['study']>;
  onDeleted: () => void;
}

/** The series that the URL names (`?series=`), beside the study; with `&instance=`, the tags of that instance. */
export function SeriesDrawer({ study, onDeleted }: SeriesDrawerProps) {
  const { t } = useTranslation('study');
  const [parameters, setParameters] = useSearchParams();
  const series = study.series.find(({ orthancId }) => orthancId === parameters.get('series'));
  const title = series && <SeriesTitle series={series} />;
  return (
    <Drawer
      opened={series !== undefined}
      onClose={() => setParameters({})}
      position="right"
      size="min(46rem, 100vw)"
      title={title}
      closeButtonProps={{ 'aria-label': t('actions.close') }}
      classNames={{ content: classes.content, body: classes.body, title: classes.title, header: classes.header }}
    >
      {series && (
        <SeriesPanel
          key={series.id}
          study={study}
          series={series}
          instanceUid={parameters.get('instance')}
          onInstance={(uid) => setParameters({ series: series.orthancId, ...(uid && { instance: uid }) })}
          onDeleted={() => {
            setParameters({}, { replace: true });
            onDeleted();
          }}
        />
      )}
    </Drawer>
  );
}

function SeriesTitle({ series }: { series: SeriesCardFragment }) {
  const { t } = useTranslation('study');
  return (
    <>
      {series.modality && <span className={classes.modality}>{series.modality}</span>}
      {series.seriesNumber !== null && <span className={classes.number}>{series.seriesNumber}</span>}
      <bdi dir="auto">{series.description || t('noSeriesDescription')}</bdi>
    </>
  );
}

interface SeriesPanelProps extends SeriesDrawerProps {
  series: SeriesCardFragment;
  /** SOPInstanceUID of the instance whose tags are shown. */
  instanceUid: string | null;
  onInstance: (uid: string | null) => void;
}

function SeriesPanel({ study, series, instanceUid, onInstance, onDeleted }: SeriesPanelProps) {
  const { t } = useTranslation('study');
  if (instanceUid) {
    const uids = { study: study.studyInstanceUID, series: series.seriesInstanceUID, instance: instanceUid };
    return (
      <div className={classes.panel}>
        <Button
          variant="subtle"
          size="compact-sm"
          className={classes.back}
          leftSection={<IconArrowLeft size={16} />}
          onClick={() => onInstance(null)}
        >
          {t('seriesDrawer.back')}
        </Button>
        <TagBrowser uids={uids} />
      </div>
    );
  }
  return (
    <div className={classes.panel}>
      <SeriesHead study={study} series={series} onDeleted={onDeleted} />
      <Tabs defaultValue="instances" keepMounted={false} className={classes.tabs}>
        <Tabs.List>
          <Tabs.Tab value="instances">
            {t('seriesDrawer.instances')} <span className={classes.number}>{formatNumber(series.instancesCount)}</span>
          </Tabs.Tab>
          <Tabs.Tab value="details">{t('seriesDrawer.details')}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="instances" className={classes.tab}>
          <Instances series={series} onOpen={onInstance} />
        </Tabs.Panel>
        <Tabs.Panel value="details" className={classes.tab}>
          <div className={classes.details}>
            <ResourceTags id={series.id} level="SERIES" />
          </div>
        </Tabs.Panel>
      </Tabs>
    </div>
  );
}

function SeriesHead({ study, series, onDeleted }: SeriesDrawerProps & { series: SeriesCardFragment }) {
  const { t } = useTranslation('study');
  const { may } = useSession();
  const [isDeleting, deleting] = useDisclosure(false);
  const correction = useChangeDialog('correct', { level: 'SERIES', id: series.id, orthancId: series.orthancId });
  const { data } = useQuery(SERIES_FACTS, { variables: { orthancId: series.orthancId } });
  const known = data?.series;
  return (
    <div className={classes.head}>
      <Facts
        facts={[
          [t('seriesDrawer.date'), [formatDate(known?.seriesDate), formatTime(known?.seriesTime)].join(' ')],
          [t('seriesDrawer.bodyPart'), known?.bodyPartExamined],
          [t('seriesDrawer.protocol'), known?.protocolName],
          [t('seriesDrawer.manufacturer'), known?.manufacturer],
          [t('seriesDrawer.station'), known?.stationName],
        ]}
      />
      <EditableLabels level="SERIES" orthancId={series.orthancId} labels={series.labels} />
      <div className={classes.actions}>
        {may('DOWNLOAD') && known && (
          <Button
            component="a"
            href={known.archiveUrl}
            variant="default"
            size="xs"
            leftSection={<IconDownload size={14} />}
          >
            {t('actions.download')}
          </Button>
        )}
        {may('MODIFY') && (
          <>
            <Button variant="default" size="xs" leftSection={<IconPencil size={14} />} onClick={correction.open}>
              {t('actions.correct')}
            </Button>
            {correction.dialog}
          </>
        )}
        {may('DELETE') && (
          <>
            <Button
              variant="subtle"
              color="red"
              size="xs"
              leftSection={<IconTrash size={14} />}
              onClick={deleting.open}
            >
              {t('actions.delete')}
            </Button>
            <DeleteDialog
              level="SERIES"
              orthancId={series.orthancId}
              patient={study.patient}
              opened={isDeleting}
              onClose={deleting.close}
              onDeleted={onDeleted}
            />
          </>
        )}
      </div>
    </div>
  );
}
