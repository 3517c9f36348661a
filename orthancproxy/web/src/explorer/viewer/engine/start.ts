/** Starts Cornerstone, which draws the images. */

import { init, RenderingEngine } from '@cornerstonejs/core';
import { getRenderingCapabilities } from '@cornerstonejs/core/utilities/renderingCapabilities';

import { startLoader } from './images';
import { ENGINE, startTools } from './tools';

// Browsers allow 16 on a page.
const MAX_WEBGL_CONTEXTS = 4;

type Config = NonNullable<Parameters<typeof init>[0]>;

let engine: RenderingEngine | undefined;

/** Returns the engine, which is started when it is first needed. */
export function renderingEngine(): RenderingEngine {
  if (engine) return engine;
  init({
    rendering: {
      // Without a graphics processor, drawing on a canvas is faster than WebGL in software.
      useCPURendering: drawsInSoftware(),
      webGlContextCount: MAX_WEBGL_CONTEXTS,
    },
  } as Partial<Config> as Config);
  startLoader();
  startTools();
  engine = new RenderingEngine(ENGINE);
  return engine;
}

export function drawsInSoftware(): boolean {
  const { webgl, softwareRasterizer } = getRenderingCapabilities();
  return !webgl || softwareRasterizer;
}

/** Whether planes of volumes can be drawn, which need textures in three dimensions. */
export function drawsVolumes(): boolean {
  return !drawsInSoftware() && getRenderingCapabilities().webgl2;
}
