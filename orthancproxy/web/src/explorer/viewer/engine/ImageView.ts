/** One pane of the viewer: the images of a series, one at a time, on a canvas. */

import { cache, Enums, eventTarget, metaData, type StackViewport, utilities } from '@cornerstonejs/core';
import { wadouri } from '@cornerstonejs/dicom-image-loader';

import { ImageError } from '../errors';
import { type Edges, edgesOf, edgesOfProjection } from '../geometry';
import { type FileWindow, fileWindows, type Window } from '../presets';
import { direction, distance, neighbours, type Slice, type Vector } from '../slices';
import { MAX_CACHE_BYTES, Prefetch } from './images';
import { drawsInSoftware, renderingEngine } from './start';
import { ENGINE, putToolsOn, takeToolsOff } from './tools';

const { Events, ViewportType } = Enums;

/** What is around the image. */
export interface ViewState {
  index: number;
  /** The number of images that are in memory. */
  loaded: number;
  isReady: boolean;
  error?: Error;
  window?: Window;
  isInverted: boolean;
  /** In percent: at 100, a pixel of the image is one of CSS. */
  zoom: number;
  /** Null where the file has no spacing. */
  mmPerPixel: number | null;
  edges: Edges | null;
  image?: ImageFacts;
  /** In mm. */
  sliceLocation?: number;
}

/** Attributes of the image that is shown. The object stays the same from image to image, if they do. */
export interface ImageFacts {
  rows: number;
  columns: number;
  isColor: boolean;
  windows: readonly FileWindow[];
  sliceThickness?: number;
  /** Milliseconds, of a loop. */
  frameTime?: number;
  isLossy: boolean;
}

const EMPTY: ViewState = {
  index: 0,
  loaded: 0,
  isReady: false,
  isInverted: false,
  zoom: 100,
  mmPerPixel: null,
  edges: null,
};
// Each update is drawn, which takes as long as loading some images.
const LOADED_INTERVAL_MS = 200;
// An image that cannot be counted yet: 512 by 512 pixels of two bytes.
const USUAL_IMAGE_BYTES = 524_288;

let lastId = 0;

export class ImageView {
  private readonly id = `view-${++lastId}`;
  private readonly listeners = new Set<() => void>();
  private readonly events = new AbortController();
  private readonly resizing: ResizeObserver;
  private readonly prefetch: Prefetch;
  private slices: readonly Slice[] = [];
  private indexes = new Map<string, number>();
  private state: ViewState = EMPTY;
  private wantedIndex = 0;
  private hasImage = false;
  private isDestroyed = false;
  private telling: ReturnType<typeof setTimeout> | undefined;

  /** `panes` share the cache. */
  constructor(
    readonly element: HTMLDivElement,
    private panes = 1,
  ) {
    const engine = renderingEngine();
    engine.enableElement({
      viewportId: this.id,
      type: ViewportType.STACK,
      element,
      defaultOptions: { background: [0, 0, 0] },
    });
    putToolsOn(this.id, ENGINE);
    this.prefetch = new Prefetch(drawsInSoftware(), () => this.loadedMore());
    const { signal } = this.events;
    element.addEventListener(Events.STACK_NEW_IMAGE, () => this.imageChanged(), { signal });
    // whatever has changed: image, window, zoom
    element.addEventListener(Events.IMAGE_RENDERED, () => this.rendered(), { signal });
    eventTarget.addEventListener(Events.IMAGE_LOAD_ERROR, this.imageFailed);
    // Cornerstone's own tool for it scrolls each pane for itself.
    element.addEventListener('wheel', this.wheelTurned, { signal, passive: false });
    // the right button zooms
    element.addEventListener('contextmenu', (event) => event.preventDefault(), { signal });
    this.resizing = new ResizeObserver(() => {
      if (element.clientWidth && element.clientHeight) engine.resize(true, true);
    });
    this.resizing.observe(element);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): ViewState => this.state;

  get shownSlices(): readonly Slice[] {
    return this.slices;
  }

  /** Shows a series, from its first image unless told otherwise. */
  async show(slices: readonly Slice[], index = 0): Promise<void> {
    this.slices = slices;
    this.indexes = new Map(slices.map(({ imageId }, at) => [imageId, at]));
    this.wantedIndex = index;
    this.hasImage = false;
    this.set({ ...EMPTY, index });
    const imageIds = slices.map(({ imageId }) => imageId);
    await this.viewport.setStack(imageIds, index);
  }

  /** Shows another image of the series. The last one that is asked for is shown. */
  scrollTo(index: number): void {
    const wanted = Math.max(0, Math.min(this.slices.length - 1, index));
    if (wanted === this.wantedIndex) return;
    this.wantedIndex = wanted;
    // else it is said once the image is drawn
    if (!cache.isLoaded(this.slices[wanted]?.imageId ?? '')) this.update({ index: wanted, error: undefined });
    // its failure is an event
    this.viewport.setImageIdIndex(wanted)?.catch(() => undefined);
  }

  scrollBy(images: number): void {
    this.scrollTo(this.wantedIndex + images);
  }

  /** Shows the next image; after the last one, the first. */
  advance(): void {
    this.scrollTo((this.wantedIndex + 1) % this.slices.length);
  }

  retry(): void {
    void this.show(this.slices, this.wantedIndex);
  }

  setWindow({ width, center }: Window): void {
    this.viewport.setProperties({ voiRange: utilities.windowLevel.toLowHighRange(width, center) });
    this.viewport.render();
  }

  invert(): void {
    this.viewport.setProperties({ invert: !this.viewport.getProperties().invert });
    this.viewport.render();
  }

  /** Clockwise. */
  rotate(degrees: number): void {
    const { rotation = 0 } = this.viewport.getViewPresentation();
    this.viewport.setViewPresentation({ rotation: (rotation + degrees + 360) % 360 });
    this.viewport.render();
  }

  /** Changes left and right. */
  flip(): void {
    const { flipHorizontal, flipVertical } = this.viewport.getCamera();
    const { rotation = 0 } = this.viewport.getViewPresentation();
    // without WebGL, the image is mirrored before it is turned
    const isTurned = drawsInSoftware() && rotation % 180 !== 0;
    this.viewport.setCamera(isTurned ? { flipVertical: !flipVertical } : { flipHorizontal: !flipHorizontal });
    this.viewport.render();
  }

  zoomBy(factor: number): void {
    this.viewport.setZoom(this.viewport.getZoom() * factor);
    this.viewport.render();
  }

  /** Takes back zoom, pan, rotation, mirroring and window. */
  reset(): void {
    this.viewport.resetProperties();
    this.viewport.resetCamera({ resetPan: true, resetZoom: true, resetToCenter: true });
    this.viewport.setViewPresentation({ rotation: 0 });
    this.viewport.setCamera({ flipHorizontal: false, flipVertical: false });
    this.viewport.render();
  }

  share(panes: number): void {
    this.panes = panes;
  }

  destroy(): void {
    this.isDestroyed = true;
    this.prefetch.stop();
    clearTimeout(this.telling);
    this.events.abort();
    this.resizing.disconnect();
    eventTarget.removeEventListener(Events.IMAGE_LOAD_ERROR, this.imageFailed);
    takeToolsOff(this.id, ENGINE);
    renderingEngine().disableElement(this.id);
  }

  private get viewport(): StackViewport {
    return renderingEngine().getViewport(this.id) as StackViewport;
  }

  private readonly wheelTurned = (event: WheelEvent): void => {
    event.preventDefault();
    if (event.ctrlKey) this.zoomBy(event.deltaY < 0 ? 1.1 : 1 / 1.1);
    else this.scrollBy(Math.sign(event.deltaY));
  };

  private readonly imageFailed = (event: Event): void => {
    const { detail } = event as CustomEvent;
    if (detail.imageId !== this.slices[this.wantedIndex]?.imageId) return;
    const error = detail.error?.error ?? detail.error;
    this.update({ error: error instanceof Error ? error : new ImageError(String(error)) });
  };

  private imageChanged(): void {
    // a tool may have scrolled
    this.wantedIndex = this.viewport.getTargetImageIdIndex();
    this.prefetchAround(this.wantedIndex);
    this.hasImage = true;
  }

  private rendered(): void {
    if (this.isDestroyed || !this.hasImage) return;
    const { viewport } = this;
    const imageId = viewport.getCurrentImageId();
    const { voiRange, invert } = viewport.getProperties();
    if (!imageId) return;
    const plane = metaData.get('imagePlaneModule', imageId);
    const { clientWidth, clientHeight } = this.element;
    const place = (x: number, y: number): Vector => viewport.canvasToWorld([x * clientWidth, y * clientHeight]);
    const center = place(0.5, 0.5);
    const above = place(0.5, 0);
    const view = { up: direction(center, above), right: direction(center, place(1, 0.5)) };
    const mmPerPixel = (2 * distance(center, above)) / clientHeight;
    this.update({
      index: this.indexes.get(imageId) ?? 0,
      loaded: this.countLoaded(),
      isReady: true,
      error: undefined,
      image: factsOf(imageId),
      sliceLocation: dataSetOf(imageId)?.floatString('x00201041'),
      window: voiRange && windowOf(voiRange),
      isInverted: Boolean(invert),
      zoom: Math.round((100 * (cache.getImage(imageId)?.rowPixelSpacing ?? 1)) / mmPerPixel),
      mmPerPixel: plane && !plane.usingDefaultValues ? mmPerPixel : null,
      edges: plane?.rowCosines ? edgesOf(view) : edgesOfProjection(view, attribute(imageId, 'x00200020')),
    });
  }

  private prefetchAround(index: number): void {
    const bytes = cache.getImage(this.slices[index]?.imageId ?? '')?.sizeInBytes ?? USUAL_IMAGE_BYTES;
    const limit = Math.floor((0.9 * MAX_CACHE_BYTES) / this.panes / bytes);
    const wanted = neighbours(index, this.slices.length, limit);
    this.prefetch.want(wanted.flatMap((at) => this.slices[at]?.imageId ?? []));
  }

  private loadedMore(): void {
    this.telling ??= setTimeout(() => {
      this.telling = undefined;
      this.update({ loaded: this.countLoaded() });
    }, LOADED_INTERVAL_MS);
  }

  private countLoaded(): number {
    return this.slices.reduce((count, { imageId }) => count + (cache.isLoaded(imageId) ? 1 : 0), 0);
  }

  private update(changed: Partial<ViewState>): void {
    const { image } = this.state;
    this.set({ ...this.state, ...changed, ...(image && isEqual(image, changed.image) && { image }) });
  }

  private set(state: ViewState): void {
    this.state = state;
    for (const listener of this.listeners) listener();
  }
}

function isEqual(a: ImageFacts, b: ImageFacts | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function windowOf({ lower, upper }: { lower: number; upper: number }): Window {
  const { windowWidth, windowCenter } = utilities.windowLevel.toWindowLevel(lower, upper);
  return { width: windowWidth, center: windowCenter };
}

function dataSetOf(imageId: string) {
  const { url } = wadouri.parseImageId(imageId);
  return wadouri.dataSetCacheManager.get(url);
}

function attribute(imageId: string, tag: string): string | undefined {
  return dataSetOf(imageId)?.string(tag);
}

function factsOf(imageId: string): ImageFacts {
  const image = cache.getImage(imageId);
  const dataSet = dataSetOf(imageId);
  const numbers = (tag: string) => dataSet?.string(tag)?.split('\\').map(Number);
  const rate = dataSet?.floatString('x00082144') ?? dataSet?.floatString('x00180040');
  return {
    rows: image?.rows ?? 0,
    columns: image?.columns ?? 0,
    isColor: Boolean(image?.color),
    windows: fileWindows(numbers('x00281050'), numbers('x00281051'), dataSet?.string('x00281055')?.split('\\')),
    sliceThickness: dataSet?.floatString('x00180050'),
    frameTime: dataSet?.floatString('x00181063') ?? (rate ? 1000 / rate : undefined),
    isLossy: dataSet?.string('x00282110') === '01',
  };
}
