/** A plane of a volume: axial, sagittal or coronal. */

import { Enums, type Types, type VolumeViewport } from '@cornerstonejs/core';

import { GraphicsError, VolumeError } from '../errors';
import { edgesOf } from '../geometry';
import { dot, type Vector } from '../slices';
import { EMPTY, type Line, type ViewState } from '../viewState';
import { AXES, PLANE_NAMES, type PlaneName } from '../volume';
import { renderingEngine } from './start';
import { PLACED } from './tools';
import { View } from './View';
import type { Volume, WindowProperties } from './Volume';

const { Events, InterpolationType, ViewportType } = Enums;

const MIN_MOVE_MM = 1e-4;

export class PlaneView extends View<VolumeViewport> {
  private hasVolume = false;
  private isChecked = false;
  private initialWindow: WindowProperties | undefined;

  constructor(
    element: HTMLDivElement,
    private readonly volume: Volume,
    readonly name: PlaneName,
  ) {
    super(element, ViewportType.ORTHOGRAPHIC, { orientation: name });
    const { total } = volume.ranges[name];
    this.state = { ...EMPTY, total, loaded: total };
    const { signal } = this.events;
    element.addEventListener(Events.VOI_MODIFIED, () => this.windowModified(), { signal });
    element.addEventListener(PLACED, (event) => volume.meetAt((event as CustomEvent<Vector>).detail, this), { signal });
    volume.add(this);
    void this.show();
  }

  retry(): void {
    void this.show();
  }

  flip(): void {
    const { flipHorizontal } = this.viewport.getCamera();
    this.viewport.setCamera({ flipHorizontal: !flipHorizontal });
    this.viewport.render();
  }

  reset(): void {
    const { viewport } = this;
    const offset = this.offset();
    viewport.setCamera({ flipHorizontal: false, flipVertical: false });
    viewport.resetCamera();
    this.moveTo(offset);
    if (this.initialWindow) viewport.setProperties(this.initialWindow);
    viewport.render();
  }

  override destroy(): void {
    super.destroy();
    this.volume.remove(this);
  }

  /** Moves the plane to a place along its axis, in mm. */
  moveTo(offset: number): void {
    const { min, step, total } = this.volume.ranges[this.name];
    this.wantedIndex = Math.max(0, Math.min(total - 1, Math.round((offset - min) / step)));
    const away = min + this.wantedIndex * step - this.offset();
    if (Math.abs(away) < MIN_MOVE_MM) return;
    const { focalPoint, position } = this.viewport.getCamera();
    if (!focalPoint || !position) return;
    const axis = AXES[this.name];
    const along = (point: Types.Point3) => point.map((part, at) => part + away * (axis[at] ?? 0)) as Types.Point3;
    this.viewport.setCamera({ focalPoint: along(focalPoint), position: along(position) });
    this.viewport.render();
  }

  takeWindow(properties: WindowProperties): void {
    if (!this.hasVolume) return;
    this.viewport.setProperties(properties, this.volume.id, true);
    this.viewport.render();
  }

  drawLines(): void {
    if (this.state.isReady) this.update({ lines: this.lines() });
  }

  protected showWanted(): void {
    const { min, step } = this.volume.ranges[this.name];
    this.moveTo(min + this.wantedIndex * step);
  }

  protected pictured(): Partial<ViewState> | undefined {
    const { viewport, volume, name } = this;
    if (!this.hasVolume || this.hasTooLittleMemory()) return undefined;
    const offset = this.offset();
    const { min, step, total } = volume.ranges[name];
    // a tool may have scrolled
    this.wantedIndex = Math.max(0, Math.min(total - 1, Math.round((offset - min) / step)));
    if (Math.abs(offset - volume.offsets[name]) > MIN_MOVE_MM) volume.moved(name, offset);
    const { voiRange, invert } = viewport.getProperties() ?? {};
    const { mmPerPixel, ...directions } = this.measured();
    return {
      index: this.wantedIndex,
      image: volume.facts,
      // the coordinate of the patient: an axis may point the other way
      sliceLocation: offset * AXES[name].reduce((sum, part) => sum + part, 0),
      window: this.windowOf(voiRange),
      isInverted: Boolean(invert),
      zoom: Math.round((100 * volume.mmPerPixel) / mmPerPixel),
      mmPerPixel,
      edges: edgesOf(directions),
      lines: this.lines(),
    };
  }

  private async show(): Promise<void> {
    const { viewport, volume } = this;
    const context = this.context();
    if (Math.max(...volume.dimensions) > context.getParameter(context.MAX_3D_TEXTURE_SIZE)) {
      this.update({ error: new VolumeError('The graphics processor cannot hold so large a volume.') });
      return;
    }
    await viewport.setVolumes([{ volumeId: volume.id }], false, true);
    if (this.events.signal.aborted) return;
    this.hasVolume = true;
    viewport.setProperties({ interpolationType: InterpolationType.LINEAR });
    const { voiRange } = viewport.getProperties() ?? {};
    if (voiRange) this.initialWindow = { voiRange, invert: false };
    this.moveTo(volume.offsets[this.name]);
    if (volume.window) this.setWindow(volume.window);
    viewport.render();
  }

  private offset(): number {
    return dot((this.viewport.getCamera().focalPoint ?? [0, 0, 0]) as Vector, AXES[this.name]);
  }

  private windowModified(): void {
    const { voiRange, invert } = this.viewport.getProperties() ?? {};
    if (this.hasVolume && voiRange) this.volume.windowChanged(this, { voiRange, invert: Boolean(invert) });
  }

  /** The planes are at right angles: one appears in another as a line along the third one's axis. */
  private lines(): Line[] {
    const others = PLANE_NAMES.filter((plane) => plane !== this.name);
    const { clientWidth, clientHeight } = this.element;
    const center = this.viewport.canvasToWorld([clientWidth / 2, clientHeight / 2]) as Vector;
    const reach = this.measured().mmPerPixel * (clientWidth + clientHeight);
    return others.map((plane) => {
      const across = AXES[plane];
      const along = AXES[others.find((other) => other !== plane) as PlaneName];
      const away = this.volume.offsets[plane] - dot(center, across);
      const end = (length: number) => {
        const place = center.map((part, at) => part + away * (across[at] ?? 0) + length * (along[at] ?? 0));
        return this.viewport.worldToCanvas(place as Types.Point3);
      };
      return { plane, from: end(-reach), to: end(reach) };
    });
  }

  private hasTooLittleMemory(): boolean {
    if (this.isChecked) return false;
    this.isChecked = true;
    const context = this.context();
    for (let error = context.getError(); error !== context.NO_ERROR; error = context.getError()) {
      if (error !== context.OUT_OF_MEMORY && error !== context.CONTEXT_LOST_WEBGL) continue;
      this.update({ error: new GraphicsError('The graphics processor has too little memory for the volume.') });
      return true;
    }
    return false;
  }

  private context(): WebGL2RenderingContext {
    const window = renderingEngine().getOffscreenMultiRenderWindow(this.id);
    return window.getOpenGLRenderWindow().get3DContext() as WebGL2RenderingContext;
  }
}
