import { SegmentedControl } from '@mantine/core';
import { IconAlertTriangle, IconArrowUp, IconCheck, IconClock, IconX } from '@tabler/icons-react';
import { useVirtualizer } from '@tanstack/react-virtual';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { formatNumber } from '../i18n/format';
import classes from './FileList.module.css';
import type { Failure } from './request';
import type { Fate, Progress, UploadRun } from './UploadRun';

const ROW_PIXELS = 44;
const ICONS = {
  waiting: IconClock,
  sending: IconArrowUp,
  stored: IconCheck,
  partly: IconAlertTriangle,
  failed: IconX,
} as const;
const FILTERS = {
  all: ['waiting', 'sending', 'stored', 'partly', 'failed'],
  waiting: ['waiting', 'sending'],
  stored: ['stored'],
  failed: ['partly', 'failed'],
} as const satisfies Record<string, readonly Fate[]>;
type Filter = keyof typeof FILTERS;

/** A file, or one in a ZIP that is not stored. */
interface Row {
  readonly index: number;
  readonly zipped?: Failure;
}

/** Each file with its fate; only the rows in view are rendered. */
export function FileList({ run, progress: { stored, failed } }: { run: UploadRun; progress: Progress }) {
  const { t } = useTranslation('upload');
  const [filter, setFilter] = useState<Filter>('all');
  const viewport = useRef<HTMLElement>(null);
  const shown = rowsOf(run, FILTERS[filter]);
  const rows = useVirtualizer({
    count: shown.length,
    getScrollElement: () => viewport.current,
    estimateSize: () => ROW_PIXELS,
    overscan: 10,
  });
  const numbers: Record<Filter, number> = {
    all: run.files.length,
    waiting: run.files.length - stored - failed,
    stored,
    failed,
  };
  return (
    <>
      <SegmentedControl
        size="xs"
        aria-label={t('filter')}
        value={filter}
        onChange={(value) => setFilter(value as Filter)}
        data={(Object.keys(FILTERS) as Filter[]).map((value) => ({
          value,
          label: `${t(`fates.${value}`)} ${formatNumber(numbers[value])}`,
        }))}
      />
      <section
        ref={viewport}
        className={classes.viewport}
        style={{ height: rows.getTotalSize() }}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keyboard
        tabIndex={0}
        aria-label={t('files', { count: shown.length, number: formatNumber(shown.length) })}
      >
        <ul style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map(({ index, start }) => (
            <FileRow key={index} run={run} row={shown[index] as Row} top={start} />
          ))}
        </ul>
      </section>
    </>
  );
}

function FileRow({ run, row: { index, zipped }, top }: { run: UploadRun; row: Row; top: number }) {
  const { t } = useTranslation('upload');
  const selected = run.files[index];
  const fate = zipped ? 'failed' : (run.fates[index] as Fate);
  const name = zipped ? zipped.name : selected?.file.name;
  const folder = zipped ? zipped.seriesPath : selected?.folder;
  const failures = zipped ? [zipped] : fate === 'failed' ? run.failures.get(index) : [];
  const reasons = [...new Set(failures?.map(({ code }) => t(`codes.${code}`)))].join(' ');
  const images = zipped ? undefined : run.storedInZips.get(index);
  const Icon = ICONS[fate];
  return (
    <li style={{ transform: `translateY(${top}px)` }} data-fate={fate} data-zipped={zipped !== undefined}>
      <Icon size={18} stroke={1.8} aria-hidden="true" className={classes.icon} />
      <span className={classes.file}>
        <span className={classes.name}>
          <bdi title={name}>{name}</bdi> <bdi className={classes.folder}>{folder}</bdi>
        </span>
        {reasons && <span className={classes.reason}>{reasons}</span>}
        {images !== undefined && (
          <span className={classes.folder}>{t('outcome.stored', { count: images, number: formatNumber(images) })}</span>
        )}
      </span>
      <span className={classes.fate}>{t(`fates.${fate}`)}</span>
    </li>
  );
}

function rowsOf(run: UploadRun, fates: readonly Fate[]): Row[] {
  return [...run.files.keys()]
    .filter((index) => fates.includes(run.fates[index] as Fate))
    .flatMap((index) => [
      { index },
      ...(run.fates[index] === 'partly' ? (run.failures.get(index) ?? []).map((zipped) => ({ index, zipped })) : []),
    ]);
}
