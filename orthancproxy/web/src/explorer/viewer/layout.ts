/** Which series are shown side by side; the URL keeps it. */

import { hasImages } from '../components/modalities';

export const LAYOUTS = [1, 2, 4] as const;
export type PanesCount = (typeof LAYOUTS)[number];

interface ListedSeries {
  orthancId: string;
  modality?: string | null;
  instancesCount: number;
}

/** Return the series of each pane: an empty text for a pane without one. There is at least one pane. */
export function panesOf(parameter: string | null, series: readonly ListedSeries[]): string[] {
  const ids = new Set(series.map(({ orthancId }) => orthancId));
  const named = (parameter ?? '').split(',').map((id) => (ids.has(id) ? id : ''));
  const shown = named.some(Boolean) ? named : [firstShown(series)];
  return withPanes(shown, LAYOUTS.find((count) => count >= shown.length) ?? 4);
}

/** Return as many panes as are wanted: those that are added are empty. */
export function withPanes(panes: readonly string[], count: PanesCount): string[] {
  return Array.from({ length: count }, (_, index) => panes[index] ?? '');
}

/** Return the panes with series in those that are empty: the ones that are not shown yet, in their order. */
export function filled(panes: readonly string[], series: readonly ListedSeries[]): string[] {
  const further = series
    .filter(({ modality }) => hasImages(modality))
    .flatMap(({ orthancId }) => (panes.includes(orthancId) ? [] : orthancId));
  return panes.map((id) => id || (further.shift() ?? ''));
}

/** Return the series that a viewer opens with: the first one with several images, past localizers. */
function firstShown(series: readonly ListedSeries[]): string {
  const pictures = series.filter(({ modality }) => hasImages(modality));
  const first = pictures.find(({ instancesCount }) => instancesCount > 1) ?? pictures[0] ?? series[0];
  return first?.orthancId ?? '';
}
