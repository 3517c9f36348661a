import { useCallback } from 'react';
import { useTranslation } from 'react-i18next';

import { Loading } from '../app/Loading';
import type { ImageView, PlaneView, Volume } from './engine';
import { ImageFailure } from './ImageFailure';
import type { StudyOfViewer } from './index';
import type { Engine } from './loadEngine';
import { nameOf, type SeriesOfViewer } from './Pane';
import paneClasses from './Pane.module.css';
import { LoadProgress, Picture } from './Picture';
import classes from './Planes.module.css';
import { type OnView, useView } from './useView';
import { useVolume } from './useVolume';
import { PLANE_NAMES, type PlaneName } from './volume';

interface PlanesProps {
  study: StudyOfViewer;
  series: SeriesOfViewer;
  /** The series as a stack, which stays below. */
  stack: ImageView;
  active: number;
  onActivate(index: number): void;
  onView: OnView<PlaneView>;
}

/** The axial, sagittal and coronal planes of a series. */
export function Planes({ study, series, stack, active, onActivate, onView }: PlanesProps) {
  const { volume, loaded, failure, retry } = useVolume(stack);
  if (volume) {
    return (
      <div className={classes.planes}>
        {PLANE_NAMES.map((plane, index) => (
          <PlanePane
            key={plane}
            {...{ study, series, volume, plane, index, onActivate, onView }}
            isActive={index === active}
          />
        ))}
      </div>
    );
  }
  return (
    <div className={classes.planes}>
      <div className={classes.obstacle}>
        {failure ? (
          <ImageFailure error={failure.error} fileUrl={failure.slice?.fileUrl} retry={retry} />
        ) : (
          <>
            <div className={paneClasses.waiting}>
              <Loading />
            </div>
            <LoadProgress loaded={loaded} total={stack.shownSlices.length} />
          </>
        )}
      </div>
    </div>
  );
}

interface PlanePaneProps {
  study: StudyOfViewer;
  series: SeriesOfViewer;
  volume: Volume;
  plane: PlaneName;
  index: number;
  isActive: boolean;
  onActivate(index: number): void;
  onView: OnView<PlaneView>;
}

function PlanePane({ study, series, volume, plane, index, isActive, onActivate, onView }: PlanePaneProps) {
  const { t } = useTranslation('viewer');
  const make = useCallback(
    ({ PlaneView }: Engine, canvas: HTMLDivElement) => new PlaneView(canvas, volume, plane),
    [volume, plane],
  );
  const { canvas, view } = useView(make, index, onView);
  const name = t(`planes.${plane}`);
  return (
    <section
      className={paneClasses.pane}
      aria-label={t('planes.of', { plane: name, name: nameOf(series) ?? t('noDescription') })}
      data-active={isActive || undefined}
      data-plane={plane}
      onPointerDownCapture={() => onActivate(index)}
      onFocusCapture={() => onActivate(index)}
    >
      <Picture canvas={canvas} view={view} study={study} series={series} name={name} />
    </section>
  );
}
