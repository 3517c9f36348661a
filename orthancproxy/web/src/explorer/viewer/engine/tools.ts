/** What the mouse and fingers do on the images. */

import { cache, getRenderingEngine } from '@cornerstonejs/core';
import {
  AngleTool,
  addTool,
  annotation,
  BaseTool,
  EllipticalROITool,
  Enums,
  init,
  LengthTool,
  PanTool,
  ProbeTool,
  StackScrollTool,
  ToolGroupManager,
  WindowLevelTool,
  ZoomTool,
} from '@cornerstonejs/tools';

import i18n from '../../i18n';
import { formatNumber } from '../../i18n/format';

/** The event of a canvas when a place is chosen on it: the other planes of its volume go there. */
export const PLACED = 'viewer-placed';

type Pointed = CustomEvent<{ element: HTMLDivElement; currentPoints: { world: readonly [number, number, number] } }>;

class CrossTool extends BaseTool {
  static override toolName = 'Cross';

  constructor(toolProps = {}, defaults = { supportedInteractionTypes: ['Mouse', 'Touch'], configuration: {} }) {
    super(toolProps, defaults as never);
  }

  preMouseDownCallback = (event: Pointed): boolean => this.place(event);
  mouseDragCallback = (event: Pointed): boolean => this.place(event);
  preTouchStartCallback = (event: Pointed): boolean => this.place(event);
  touchDragCallback = (event: Pointed): boolean => this.place(event);

  private place({ detail }: Pointed): boolean {
    detail.element.dispatchEvent(new CustomEvent(PLACED, { detail: detail.currentPoints.world }));
    // the movement that follows is for this tool, too
    return false;
  }
}

/** The name of the engine. */
export const ENGINE = 'viewer';
const GROUP = 'viewer';
const YELLOW = 'rgb(255, 214, 10)';
const BLUE = 'rgb(90, 200, 250)';
const TOOLS = {
  window: WindowLevelTool,
  scroll: StackScrollTool,
  zoom: ZoomTool,
  pan: PanTool,
  length: LengthTool,
  angle: AngleTool,
  ellipse: EllipticalROITool,
  probe: ProbeTool,
  cross: CrossTool,
};

export type ToolName = keyof typeof TOOLS;

const { Primary, Secondary, Auxiliary } = Enums.MouseBindings;
const FURTHER: Partial<Record<ToolName, { mouseButton?: number; numTouchPoints?: number }[]>> = {
  pan: [{ mouseButton: Auxiliary }],
  zoom: [{ mouseButton: Secondary }, { numTouchPoints: 2 }],
};

export function startTools(): void {
  init();
  for (const tool of Object.values(TOOLS)) addTool(tool);
  const group = ToolGroupManager.createToolGroup(GROUP);
  for (const { toolName } of Object.values(TOOLS)) group?.addTool(toolName, LABELS[toolName]);
  const { style } = annotation.config;
  const styles = style.getDefaultToolStyles();
  style.setDefaultToolStyles({
    ...styles,
    global: {
      ...styles.global,
      color: YELLOW,
      colorHighlighted: BLUE,
      colorSelected: BLUE,
      textBoxFontFamily: 'system-ui, sans-serif',
      textBoxFontSize: '13px',
      textBoxColor: YELLOW,
      textBoxColorHighlighted: BLUE,
      textBoxColorSelected: BLUE,
    },
  });
}

export function putToolsOn(viewportId: string, engineId: string): void {
  ToolGroupManager.getToolGroup(GROUP)?.addViewport(viewportId, engineId);
}

export function takeToolsOff(viewportId: string, engineId: string): void {
  ToolGroupManager.getToolGroup(GROUP)?.removeViewports(engineId, viewportId);
}

interface Measured {
  cachedStats?: Record<string, Record<string, unknown>>;
}

/** What is written beside measurements; lengths and angles need no words. */
const LABELS: Record<string, object> = {
  [EllipticalROITool.toolName]: { getTextLines: regionLines },
  [ProbeTool.toolName]: { getTextLines: valueLines },
};

function regionLines({ cachedStats }: Measured, target: string): string[] {
  const { area, areaUnit, mean, stdDev, min, max, modalityUnit } = cachedStats?.[target] ?? {};
  const t = i18n.getFixedT(i18n.language, 'viewer', 'measured');
  return [
    rounded(area) && `${t('area')} ${rounded(area)} ${areaUnit}`,
    rounded(mean) && `${t('mean')} ${rounded(mean)} ± ${rounded(stdDev)} ${modalityUnit}`,
    rounded(min) && `${t('range')} ${rounded(min)} – ${rounded(max)} ${modalityUnit}`,
  ].filter((line) => typeof line === 'string');
}

function valueLines({ cachedStats }: Measured, target: string): string[] | undefined {
  const { index, value, modalityUnit } = cachedStats?.[target] ?? {};
  if (!index) return undefined;
  const [x, y] = index as number[];
  // Cornerstone looks for it in the first image of the series only
  const found = value ?? cache.getImage(target.replace('imageId:', ''))?.voxelManager?.getAtIJK(x ?? 0, y ?? 0, 0);
  const values = (Array.isArray(found) || ArrayBuffer.isView(found) ? [...(found as number[])] : [found]).map(rounded);
  return values.every(Boolean) ? [`${values.join(', ')} ${modalityUnit ?? ''}`] : undefined;
}

function rounded(value: unknown): string | undefined {
  return typeof value === 'number' ? formatNumber(value, { maximumFractionDigits: 1 }) : undefined;
}

/** Gives a tool the left button of the mouse, or one finger. */
export function chooseTool(chosen: ToolName): void {
  const group = ToolGroupManager.getToolGroup(GROUP);
  for (const { toolName } of Object.values(TOOLS)) group?.setToolPassive(toolName, { removeAllBindings: true });
  for (const [name, { toolName }] of Object.entries(TOOLS)) {
    const further = FURTHER[name as ToolName] ?? [];
    const bindings = name === chosen ? [{ mouseButton: Primary }, ...further] : further;
    if (bindings.length > 0) group?.setToolActive(toolName, { bindings } as never);
  }
}

export function deleteSelected(): void {
  const { selection, state } = annotation;
  for (const id of selection.getAnnotationsSelected()) state.removeAnnotation(id);
  drawAll();
}

export function deleteAll(): void {
  annotation.state.removeAllAnnotations();
  drawAll();
}

function drawAll(): void {
  getRenderingEngine(ENGINE)?.render();
}
