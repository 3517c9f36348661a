import { useCallback, useEffect } from 'react';
import { useTranslation } from 'react-i18next';

import type { ImageView } from './engine';
import type { StudyOfViewer } from './index';
import type { Engine } from './loadEngine';
import type { SeriesOfViewer } from './Pane';
import { Picture } from './Picture';
import type { Slice } from './slices';
import { type OnView, useView } from './useView';

interface ImagePaneProps {
  index: number;
  study: StudyOfViewer;
  series: SeriesOfViewer;
  slices: readonly Slice[];
  onView: OnView<ImageView>;
}

/** The images of a series on a canvas. */
export function ImagePane({ index, study, series, slices, onView }: ImagePaneProps) {
  const { t } = useTranslation('viewer');
  const make = useCallback(({ ImageView }: Engine, canvas: HTMLDivElement) => new ImageView(canvas), []);
  const { canvas, view } = useView(make, index, onView);

  useEffect(() => {
    void view?.show(slices).catch(() => undefined);
  }, [view, slices]);

  return (
    <Picture
      canvas={canvas}
      view={view}
      study={study}
      series={series}
      name={t('image')}
      fileUrl={(shown) => slices[shown]?.fileUrl}
    />
  );
}
