import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { Documents } from './Documents';
import type { ImageView } from './engine';
import { ImagePane } from './ImagePane';
import type { StudyOfViewer } from './index';
import classes from './Pane.module.css';
import { useSeriesContent } from './useSlices';
import type { OnView } from './useView';

export type SeriesOfViewer = StudyOfViewer['series'][number];

/** Returns what a series is called; undefined if nothing says it. */
export function nameOf(series: SeriesOfViewer | undefined): string | undefined {
  return series?.description || series?.modality || undefined;
}

interface PaneProps {
  index: number;
  study: StudyOfViewer;
  series: SeriesOfViewer | undefined;
  /** Whether it is marked as the one on which keys and buttons act. */
  isActive: boolean;
  onActivate(index: number): void;
  onView: OnView<ImageView>;
}

/** A place for a series: its images, or what else is in it. */
export function Pane({ index, study, series, isActive, onActivate, onView }: PaneProps) {
  const { t } = useTranslation('viewer');
  const { content, isMissing, error, retry } = useSeriesContent(series?.orthancId ?? '');
  const name = nameOf(series) ?? t('noDescription');
  return (
    <section
      className={classes.pane}
      aria-label={series ? t('pane', { name }) : t('emptyPane')}
      data-active={isActive || undefined}
      onPointerDownCapture={() => onActivate(index)}
      onFocusCapture={() => onActivate(index)}
    >
      {!series && <p className={classes.empty}>{t('emptyPane')}</p>}
      {error && <ErrorMessage error={error} retry={retry} />}
      {isMissing && (
        <p className={classes.empty} role="alert">
          {t('missingSeries')}
        </p>
      )}
      {series && !content && !isMissing && !error && <Loading />}
      {series && content && content.slices.length > 0 && (
        <ImagePane index={index} study={study} series={series} slices={content.slices} onView={onView} />
      )}
      {series && content && content.slices.length === 0 && (
        <Documents key={series.id} study={study} series={series} documents={content.documents} />
      )}
    </section>
  );
}
