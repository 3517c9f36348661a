import { ServerError } from '@apollo/client/errors';
import { useEffect, useState } from 'react';

import { config } from '../app/config';
import { setLoginNeeded } from '../app/login';
import type { DicomJson } from './attributes';

/** The UIDs that name an instance in DICOMweb. */
export interface InstanceUids {
  study: string;
  series: string;
  instance: string;
}

interface Metadata {
  dataset?: DicomJson;
  error?: Error;
  retry(): void;
}

/** All attributes of an instance, nested ones too: its WADO-RS metadata (PS3.18 section 10.4.1.1.2). */
export function useMetadata({ study, series, instance }: InstanceUids): Metadata {
  const [state, setState] = useState<Omit<Metadata, 'retry'>>({});
  const [attempt, setAttempt] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another attempt sends the same request
  useEffect(() => {
    const aborting = new AbortController();
    setState({});
    load([study, series, instance], aborting.signal).then(
      (dataset) => setState({ dataset }),
      (error: Error) => aborting.signal.aborted || setState({ error }),
    );
    return () => aborting.abort();
  }, [study, series, instance, attempt]);
  return { ...state, retry: () => setAttempt((before) => before + 1) };
}

async function load(uids: readonly string[], signal: AbortSignal): Promise<DicomJson> {
  const [study, series, instance] = uids.map(encodeURIComponent);
  const response = await fetch(
    `${config.dicomwebUrl}studies/${study}/series/${series}/instances/${instance}/metadata`,
    {
      headers: { Accept: 'application/dicom+json' },
      credentials: 'same-origin',
      signal,
    },
  );
  if (!response.ok) {
    if (response.status === 401) setLoginNeeded(true);
    throw new ServerError(response.statusText, { response, bodyText: await response.text() });
  }
  const [dataset] = (await response.json()) as DicomJson[];
  return dataset ?? {};
}
