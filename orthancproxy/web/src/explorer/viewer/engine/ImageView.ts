/** The images of a series, one at a time. */

import { cache, Enums, eventTarget, metaData, type StackViewport } from '@cornerstonejs/core';

import { ImageError } from '../errors';
import { edgesOf, edgesOfProjection } from '../geometry';
import { neighbours, type Slice } from '../slices';
import { EMPTY, LOADED_INTERVAL_MS, type ViewState } from '../viewState';
import { type NoVolume, type VolumeShape, volumeOf } from '../volume';
import { dataSetOf, factsOf } from './facts';
import { MAX_LOADED_AHEAD_BYTES, Prefetch } from './images';
import { drawsInSoftware, drawsVolumes } from './start';
import { View } from './View';

const { Events, ViewportType } = Enums;

// An image that cannot be counted yet: 512 by 512 pixels of two bytes.
const USUAL_IMAGE_BYTES = 524_288;

/** Why planes of a series cannot be shown. */
export type NoPlanes = NoVolume | 'software' | 'color' | 'size';

export class ImageView extends View<StackViewport> {
  private readonly prefetch: Prefetch;
  private slices: readonly Slice[] = [];
  private indexes = new Map<string, number>();
  private volume: VolumeShape | NoVolume = 'few';
  private hasImage = false;
  private share = 1;
  private telling: ReturnType<typeof setTimeout> | undefined;

  constructor(element: HTMLDivElement) {
    super(element, ViewportType.STACK);
    this.prefetch = new Prefetch(drawsInSoftware(), () => this.loadedMore());
    const { signal } = this.events;
    element.addEventListener(Events.STACK_NEW_IMAGE, () => this.imageChanged(), { signal });
    eventTarget.addEventListener(Events.IMAGE_LOAD_ERROR, this.imageFailed);
  }

  get shownSlices(): readonly Slice[] {
    return this.slices;
  }

  /** Whether other planes of the series can be shown, or why not. Undefined until there is an image. */
  get shownVolume(): VolumeShape | NoPlanes | undefined {
    if (this.slices.length === 0) return undefined;
    if (!drawsVolumes()) return 'software';
    if (typeof this.volume === 'string') return this.volume;
    const { image } = this.state;
    if (!image) return undefined;
    if (image.isColor) return 'color';
    return image.bytes * this.slices.length > MAX_LOADED_AHEAD_BYTES ? 'size' : this.volume;
  }

  /** Shows a series, from its first image unless told otherwise. */
  async show(slices: readonly Slice[], index = 0): Promise<void> {
    this.slices = slices;
    this.volume = volumeOf(slices);
    this.indexes = new Map(slices.map(({ imageId }, at) => [imageId, at]));
    this.wantedIndex = index;
    this.hasImage = false;
    this.set({ ...EMPTY, index, total: slices.length });
    const imageIds = slices.map(({ imageId }) => imageId);
    await this.viewport.setStack(imageIds, index);
  }

  retry(): void {
    void this.show(this.slices, this.wantedIndex);
  }

  flip(): void {
    const { flipHorizontal, flipVertical } = this.viewport.getCamera();
    const { rotation = 0 } = this.viewport.getViewPresentation();
    // without WebGL, the image is mirrored before it is turned
    const isTurned = drawsInSoftware() && rotation % 180 !== 0;
    this.viewport.setCamera(isTurned ? { flipVertical: !flipVertical } : { flipHorizontal: !flipHorizontal });
    this.viewport.render();
  }

  reset(): void {
    this.viewport.resetProperties();
    this.viewport.resetCamera({ resetPan: true, resetZoom: true, resetToCenter: true });
    this.viewport.setViewPresentation({ rotation: 0 });
    this.viewport.setCamera({ flipHorizontal: false, flipVertical: false });
    this.viewport.render();
  }

  /** Loads images before they are looked at, into a part of the cache: all of it is 1. */
  prefetchInto(share: number): void {
    if (share === this.share) return;
    this.share = share;
    if (this.hasImage) this.prefetchAround(this.wantedIndex);
  }

  override destroy(): void {
    this.prefetch.stop();
    clearTimeout(this.telling);
    eventTarget.removeEventListener(Events.IMAGE_LOAD_ERROR, this.imageFailed);
    super.destroy();
  }

  protected showWanted(): void {
    // else it is said once the image is drawn
    if (!cache.isLoaded(this.slices[this.wantedIndex]?.imageId ?? '')) {
      this.update({ index: this.wantedIndex, error: undefined });
    }
    // its failure is an event
    this.viewport.setImageIdIndex(this.wantedIndex)?.catch(() => undefined);
  }

  protected pictured(): Partial<ViewState> | undefined {
    const { viewport } = this;
    const imageId = viewport.getCurrentImageId();
    if (!this.hasImage || !imageId) return undefined;
    const { voiRange, invert } = viewport.getProperties();
    const plane = metaData.get('imagePlaneModule', imageId);
    const { mmPerPixel, ...directions } = this.measured();
    const dataSet = dataSetOf(imageId);
    return {
      index: this.indexes.get(imageId) ?? 0,
      loaded: this.countLoaded(),
      image: factsOf(imageId),
      sliceLocation: dataSet?.floatString('x00201041'),
      window: this.windowOf(voiRange),
      isInverted: Boolean(invert),
      zoom: Math.round((100 * (cache.getImage(imageId)?.rowPixelSpacing ?? 1)) / mmPerPixel),
      mmPerPixel: plane && !plane.usingDefaultValues ? mmPerPixel : null,
      edges: plane?.rowCosines ? edgesOf(directions) : edgesOfProjection(directions, dataSet?.string('x00200020')),
    };
  }

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

  private prefetchAround(index: number): void {
    const bytes = cache.getImage(this.slices[index]?.imageId ?? '')?.sizeInBytes ?? USUAL_IMAGE_BYTES;
    const limit = Math.floor((MAX_LOADED_AHEAD_BYTES * this.share) / bytes);
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
}
