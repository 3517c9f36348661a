/** One pane of the viewer: a canvas, what is around it, and what keys and buttons do to it. */

import { Enums, eventTarget, type StackViewport, utilities, type VolumeViewport } from '@cornerstonejs/core';

import { GraphicsError } from '../errors';
import type { Directions } from '../geometry';
import type { Window } from '../presets';
import { direction, distance, type Vector } from '../slices';
import { EMPTY, type ViewState } from '../viewState';
import type { ImageFacts } from './facts';
import { renderingEngine } from './start';
import { ENGINE, putToolsOn, takeToolsOff } from './tools';

const { Events } = Enums;

let lastId = 0;

export abstract class View<Viewport extends StackViewport | VolumeViewport = StackViewport | VolumeViewport> {
  protected readonly id = `view-${++lastId}`;
  protected readonly events = new AbortController();
  protected state: ViewState = EMPTY;
  protected wantedIndex = 0;
  private readonly listeners = new Set<() => void>();
  private readonly resizing: ResizeObserver;

  constructor(
    readonly element: HTMLDivElement,
    type: Enums.ViewportType,
    options: object = {},
  ) {
    const engine = renderingEngine();
    const defaultOptions = { background: [0, 0, 0], ...options } as never;
    engine.enableElement({ viewportId: this.id, type, element, defaultOptions });
    putToolsOn(this.id, ENGINE);
    const { signal } = this.events;
    // whatever has changed: image, window, zoom
    element.addEventListener(Events.IMAGE_RENDERED, this.imageRendered, { signal });
    eventTarget.addEventListener(Events.WEBGL_CONTEXT_LOST, this.graphicsLost);
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

  /** Shows another image. The last one that is asked for is shown. */
  scrollTo(index: number): void {
    const wanted = Math.max(0, Math.min(this.state.total - 1, index));
    if (wanted === this.wantedIndex) return;
    this.wantedIndex = wanted;
    this.showWanted();
  }

  scrollBy(images: number): void {
    this.scrollTo(this.wantedIndex + images);
  }

  /** Shows the next image; after the last one, the first. */
  advance(): void {
    this.scrollTo((this.wantedIndex + 1) % this.state.total);
  }

  setWindow({ width, center }: Window): void {
    this.viewport.setProperties({ voiRange: utilities.windowLevel.toLowHighRange(width, center) });
    this.viewport.render();
  }

  invert(): void {
    this.viewport.setProperties({ invert: !this.viewport.getProperties()?.invert });
    this.viewport.render();
  }

  /** Clockwise. */
  rotate(degrees: number): void {
    const { rotation = 0 } = this.viewport.getViewPresentation();
    this.viewport.setViewPresentation({ rotation: (rotation + degrees + 360) % 360 });
    this.viewport.render();
  }

  zoomBy(factor: number): void {
    this.viewport.setZoom(this.viewport.getZoom() * factor);
    this.viewport.render();
  }

  /** Changes left and right. */
  abstract flip(): void;

  /** Takes back zoom, pan, rotation, mirroring and window. */
  abstract reset(): void;

  abstract retry(): void;

  destroy(): void {
    this.events.abort();
    this.resizing.disconnect();
    eventTarget.removeEventListener(Events.WEBGL_CONTEXT_LOST, this.graphicsLost);
    takeToolsOff(this.id, ENGINE);
    renderingEngine().disableElement(this.id);
  }

  protected abstract showWanted(): void;

  /** Returns what has changed with the picture; undefined if there is none. */
  protected abstract pictured(): Partial<ViewState> | undefined;

  protected get viewport(): Viewport {
    return renderingEngine().getViewport(this.id) as Viewport;
  }

  /** The directions of the screen in the coordinates of the image, and how large its pixels are. */
  protected measured(): Directions & { mmPerPixel: number } {
    const { clientWidth, clientHeight } = this.element;
    const place = (x: number, y: number): Vector => this.viewport.canvasToWorld([x * clientWidth, y * clientHeight]);
    const center = place(0.5, 0.5);
    const above = place(0.5, 0);
    return {
      up: direction(center, above),
      right: direction(center, place(1, 0.5)),
      mmPerPixel: (2 * distance(center, above)) / clientHeight,
    };
  }

  protected windowOf(voiRange: { lower: number; upper: number } | undefined): Window | undefined {
    if (!voiRange) return undefined;
    const { windowWidth, windowCenter } = utilities.windowLevel.toWindowLevel(voiRange.lower, voiRange.upper);
    return { width: windowWidth, center: windowCenter };
  }

  protected update(changed: Partial<ViewState>): void {
    const { image } = this.state;
    this.set({ ...this.state, ...changed, ...(image && isEqual(image, changed.image) && { image }) });
  }

  protected set(state: ViewState): void {
    this.state = state;
    for (const listener of this.listeners) listener();
  }

  private readonly imageRendered = (): void => {
    if (this.events.signal.aborted || this.state.error instanceof GraphicsError) return;
    const changed = this.pictured();
    if (changed) this.update({ isReady: true, error: undefined, ...changed });
  };

  private readonly graphicsLost = (): void => this.update({ error: new GraphicsError('WebGL has been lost.') });

  private readonly wheelTurned = (event: WheelEvent): void => {
    event.preventDefault();
    if (event.ctrlKey) this.zoomBy(event.deltaY < 0 ? 1.1 : 1 / 1.1);
    else this.scrollBy(Math.sign(event.deltaY));
  };
}

function isEqual(a: ImageFacts, b: ImageFacts | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
