/** The part of the viewer that needs Cornerstone: it is loaded beside the answer of the API. */

export { pdfOf, videoOf } from './documents';
export type { ImageFacts } from './facts';
export { ImageView, type NoPlanes } from './ImageView';
export { PlaneView } from './PlaneView';
export { chooseTool, deleteAll, deleteSelected, type ToolName } from './tools';
export type { View } from './View';
export { type LoadFailure, loadImages, Volume } from './Volume';
