import { useSyncExternalStore } from 'react';

import { formatNumber } from '../i18n/format';
import { currentSelection, onSelection } from './selection';
import type { UploadRun } from './UploadRun';

/** How far an upload is that goes on while other pages are shown. */
export function UploadShare() {
  const { run } = useSyncExternalStore(onSelection, currentSelection);
  return run && <Share run={run} />;
}

function Share({ run }: { run: UploadRun }) {
  const { share } = useSyncExternalStore(run.subscribe, run.getProgress);
  return run.isOver ? null : formatNumber(Math.floor(100 * share) / 100, { style: 'percent' });
}
