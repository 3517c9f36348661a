import { type ComponentType, useCallback, useRef, useState } from 'react';

import { notify } from './notify';

/**
 * A component that most visits do not need, null until it is loaded, and the function that loads it. The page stays as
 * it is if that fails; `lazy` would put an error in its place.
 */
export function useOnDemand<Props>(
  load: () => Promise<{ default: ComponentType<Props> }>,
): [Component: ComponentType<Props> | null, load: () => void] {
  const [loaded, setLoaded] = useState<{ default: ComponentType<Props> } | null>(null);
  const latest = useRef(load);
  return [loaded?.default ?? null, useCallback(() => void latest.current().then(setLoaded, notify.error), [])];
}
