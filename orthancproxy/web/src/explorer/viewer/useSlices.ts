import { useQuery } from '@apollo/client/react';
import { useMemo } from 'react';

import type { ViewerSeriesQuery } from '../graphql/generated/graphql';
import { type Content, contentOf } from './content';
import { VIEWER_SERIES } from './operations';
import { type Slice, slicesOf } from './slices';

export type InstanceOfViewer = NonNullable<ViewerSeriesQuery['series']>['instances'][number];

export interface SeriesContent {
  slices: readonly Slice[];
  /** What is no image. */
  documents: readonly { instance: InstanceOfViewer; content: Exclude<Content, 'image'> }[];
}

interface SeriesRead {
  content?: SeriesContent;
  /** Whether there is no such series any more, or none that the caller may see. */
  isMissing: boolean;
  error?: Error;
  retry(): void;
}

/** The content of a series; an empty id is that of none. */
export function useSeriesContent(orthancId: string): SeriesRead {
  const { data, error, refetch } = useQuery(VIEWER_SERIES, { variables: { orthancId }, skip: !orthancId });
  const instances = data?.series?.instances;
  const content = useMemo(() => instances && sorted(instances), [instances]);
  return { content, isMissing: data?.series === null, error, retry: () => void refetch() };
}

function sorted(instances: readonly InstanceOfViewer[]): SeriesContent {
  const images: InstanceOfViewer[] = [];
  const documents: SeriesContent['documents'][number][] = [];
  for (const instance of instances) {
    const content = contentOf(instance.sopClassUID, instance.transferSyntaxUID);
    if (content === 'image') images.push(instance);
    else documents.push({ instance, content });
  }
  return { slices: slicesOf(images), documents };
}
