import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { Loading } from '../app/Loading';
import { formatNumber } from '../i18n/format';
import type { ImageView } from './engine';
import { ImageFailure } from './ImageFailure';
import type { StudyOfViewer } from './index';
import { useEngine } from './loadEngine';
import { Overlay } from './Overlay';
import type { SeriesOfViewer } from './Pane';
import classes from './Pane.module.css';
import type { Slice } from './slices';
import { useViewState } from './useViewState';

interface ImagePaneProps {
  index: number;
  study: StudyOfViewer;
  series: SeriesOfViewer;
  slices: readonly Slice[];
  onView(index: number, view: ImageView | undefined): void;
}

/** The images of a series on a canvas, with what is known of them around it. */
export function ImagePane({ index, study, series, slices, onView }: ImagePaneProps) {
  const { t } = useTranslation('viewer');
  const engine = useEngine();
  const canvas = useRef<HTMLDivElement>(null);
  const [view, setView] = useState<ImageView>();
  const state = useViewState(view);
  const total = slices.length;

  useEffect(() => {
    if (!canvas.current || !engine) return;
    const made = new engine.ImageView(canvas.current);
    setView(made);
    onView(index, made);
    return () => {
      onView(index, undefined);
      made.destroy();
    };
  }, [engine, index, onView]);

  useEffect(() => {
    void view?.show(slices).catch(() => undefined);
  }, [view, slices]);

  return (
    <>
      <div ref={canvas} className={classes.canvas} data-index={state.index} data-ready={state.isReady || undefined} />
      <Overlay study={study} series={series} state={state} total={total} />
      {!state.isReady && !state.error && (
        <div className={classes.waiting}>
          <Loading />
        </div>
      )}
      {state.error && (
        <ImageFailure error={state.error} fileUrl={slices[state.index]?.fileUrl} retry={() => view?.retry()} />
      )}
      {total > 1 && (
        <>
          <input
            type="range"
            className={classes.slider}
            min={1}
            max={total}
            value={state.index + 1}
            aria-label={t('image')}
            aria-valuetext={t('imageOf', { number: formatNumber(state.index + 1), total: formatNumber(total) })}
            onChange={(event) => view?.scrollTo(Number(event.currentTarget.value) - 1)}
          />
          {state.loaded < total && (
            <progress
              className={classes.progress}
              value={state.loaded}
              max={total}
              aria-label={t('loaded', { loaded: formatNumber(state.loaded), total: formatNumber(total) })}
            />
          )}
        </>
      )}
    </>
  );
}
