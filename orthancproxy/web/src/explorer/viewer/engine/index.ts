/** The part of the viewer that needs Cornerstone: it is loaded beside the answer of the API. */

export { pdfOf, videoOf } from './documents';
export { type ImageFacts, ImageView, type ViewState } from './ImageView';
export { chooseTool, deleteAll, deleteSelected, type ToolName } from './tools';
