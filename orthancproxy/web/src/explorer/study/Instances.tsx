import { useQuery } from '@apollo/client/react';
import { ActionIcon, UnstyledButton } from '@mantine/core';
import { IconChevronRight, IconDownload } from '@tabler/icons-react';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useRef } from 'react';
import { useTranslation } from 'react-i18next';

import { config } from '../app/config';
import { ErrorMessage } from '../app/ErrorMessage';
import { useSession } from '../app/session';
import type { InstanceLineFragment, SeriesCardFragment } from '../graphql/generated/graphql';
import { formatBytes, formatNumber } from '../i18n/format';
import classes from './Instances.module.css';
import { SERIES_INSTANCES } from './operations';
import { Thumbnail } from './Thumbnail';

const PAGE_ROWS = 50;
const ROW_PX = 56;

interface InstancesProps {
  series: SeriesCardFragment;
  /** Opens the instance with this SOPInstanceUID. */
  onOpen: (uid: string) => void;
}

/** The instances of a series, in pages that are loaded as they are scrolled into view. */
export function Instances({ series, onOpen }: InstancesProps) {
  const { t } = useTranslation('study');
  const scroller = useRef<HTMLDivElement>(null);
  const virtualizer = useVirtualizer({
    count: Math.ceil(series.instancesCount / PAGE_ROWS),
    getScrollElement: () => scroller.current,
    estimateSize: (page) => rowsOf(page, series.instancesCount) * ROW_PX,
    overscan: 0,
  });
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is reached with the keyboard
    <section ref={scroller} className={classes.scroller} tabIndex={0} aria-label={t('seriesDrawer.instances')}>
      <div className={classes.pages} style={{ height: virtualizer.getTotalSize() }}>
        {virtualizer.getVirtualItems().map(({ key, index, start, size }) => (
          <div key={key} className={classes.page} style={{ height: size, transform: `translateY(${start}px)` }}>
            <InstancesPage series={series} page={index} onOpen={onOpen} />
          </div>
        ))}
      </div>
    </section>
  );
}

function InstancesPage({ series, page, onOpen }: InstancesProps & { page: number }) {
  const { t } = useTranslation('study');
  const variables = { orthancId: series.orthancId, first: PAGE_ROWS, offset: page * PAGE_ROWS };
  const { data, error, refetch } = useQuery(SERIES_INSTANCES, { variables });
  if (error) return <ErrorMessage error={error} retry={() => void refetch()} />;
  if (!data) return <div role="status" className={classes.loading} aria-label={t('instance.loadingRows')} />;
  return (
    <ul className={classes.rows}>
      {data.series?.instances.map((instance) => (
        <InstanceRow key={instance.id} instance={instance} modality={series.modality} onOpen={onOpen} />
      ))}
    </ul>
  );
}

interface InstanceRowProps {
  instance: InstanceLineFragment;
  modality: string | null;
  onOpen: (uid: string) => void;
}

function InstanceRow({ instance, modality, onOpen }: InstanceRowProps) {
  const { t } = useTranslation('study');
  const { may } = useSession();
  const { instanceNumber, rows, columns, numberOfFrames } = instance;
  const name =
    instanceNumber === null ? t('instance.unnumbered') : t('instance.name', { number: formatNumber(instanceNumber) });
  const facts = [
    columns && rows ? `${columns} × ${rows}` : '',
    numberOfFrames && numberOfFrames > 1
      ? t('instance.frames', { count: numberOfFrames, number: formatNumber(numberOfFrames) })
      : '',
    formatBytes(instance.fileSize),
  ];
  const content = (
    <>
      <span className={classes.picture}>
        <Thumbnail
          url={may('DOWNLOAD') && instance.isRenderable ? instance.thumbnailUrl : undefined}
          modality={modality}
        />
      </span>
      <span className={classes.name}>{name}</span>
      <span className={classes.facts}>{facts.filter(Boolean).join(' · ')}</span>
    </>
  );
  return (
    <li className={classes.row}>
      {/* a project without DICOMweb has no metadata to show */}
      {config.dicomwebUrl ? (
        <UnstyledButton
          className={classes.open}
          onClick={() => onOpen(instance.sopInstanceUID)}
          aria-label={t('instance.openTags', { name })}
        >
          {content}
          <IconChevronRight size={16} aria-hidden="true" className={classes.chevron} />
        </UnstyledButton>
      ) : (
        <span className={classes.open}>{content}</span>
      )}
      {may('DOWNLOAD') && (
        <ActionIcon
          component="a"
          href={instance.fileUrl}
          download
          variant="subtle"
          color="gray"
          aria-label={`${t('actions.downloadFile')}: ${name}`}
        >
          <IconDownload size={16} aria-hidden="true" />
        </ActionIcon>
      )}
    </li>
  );
}

function rowsOf(page: number, count: number): number {
  return Math.min(PAGE_ROWS, count - page * PAGE_ROWS);
}
