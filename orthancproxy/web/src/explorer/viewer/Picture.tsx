import type { RefObject } from 'react';
import { useTranslation } from 'react-i18next';

import { Loading } from '../app/Loading';
import { formatNumber } from '../i18n/format';
import type { View } from './engine';
import { ImageFailure } from './ImageFailure';
import type { StudyOfViewer } from './index';
import { Overlay } from './Overlay';
import type { SeriesOfViewer } from './Pane';
import classes from './Pane.module.css';
import { PlaneLines } from './PlaneLines';
import { useViewState } from './useViewState';

interface PictureProps {
  canvas: RefObject<HTMLDivElement | null>;
  view: View | undefined;
  study: StudyOfViewer;
  series: SeriesOfViewer;
  /** What is scrolled: images, or a plane. */
  name: string;
  /** Returns the file of an image. */
  fileUrl?: (index: number) => string | undefined;
}

/** A canvas with what is known of its picture around it. */
export function Picture({ canvas, view, study, series, name, fileUrl }: PictureProps) {
  const { t } = useTranslation('viewer');
  const state = useViewState(view);
  const { index, total, loaded, isReady, error } = state;
  return (
    <>
      <div ref={canvas} className={classes.canvas} data-index={index} data-ready={isReady || undefined} />
      <PlaneLines lines={state.lines} />
      <Overlay study={study} series={series} state={state} name={name} />
      {!isReady && !error && (
        <div className={classes.waiting}>
          <Loading />
        </div>
      )}
      {error && <ImageFailure error={error} fileUrl={fileUrl?.(index)} retry={() => view?.retry()} />}
      {total > 1 && (
        <>
          <input
            type="range"
            className={classes.slider}
            min={1}
            max={total}
            value={index + 1}
            aria-label={name}
            aria-valuetext={t('imageOf', { number: formatNumber(index + 1), total: formatNumber(total) })}
            onChange={(event) => view?.scrollTo(Number(event.currentTarget.value) - 1)}
          />
          {loaded < total && <LoadProgress loaded={loaded} total={total} />}
        </>
      )}
    </>
  );
}

export function LoadProgress({ loaded, total }: { loaded: number; total: number }) {
  const { t } = useTranslation('viewer');
  return (
    <progress
      className={classes.progress}
      value={loaded}
      max={total}
      aria-label={t('loaded', { loaded: formatNumber(loaded), total: formatNumber(total) })}
    />
  );
}
