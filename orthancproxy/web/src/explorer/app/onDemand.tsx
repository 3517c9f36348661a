import { type ComponentType, useEffect, useState } from 'react';

import i18n from '../i18n';
import { Loading } from './Loading';

/**
 * A page whose code and texts are loaded when it is first opened. React's `lazy` would keep its fallback for 300 ms,
 * however early they are there.
 */
export function onDemand(load: () => Promise<{ default: ComponentType }>, namespaces: string[]): ComponentType {
  let loaded: ComponentType | undefined;

  async function loadAll(): Promise<ComponentType> {
    const [page] = await Promise.all([load(), i18n.loadNamespaces(namespaces)]);
    loaded = page.default;
    return loaded;
  }

  // biome-ignore lint/correctness/noComponentHookFactories: it is made once for each page, as by `lazy`
  return function OnDemand() {
    const [Page, setPage] = useState(() => loaded);
    const [error, setError] = useState<unknown>();
    useEffect(() => {
      if (!Page) loadAll().then((page) => setPage(() => page), setError);
    }, [Page]);
    if (error) throw error;
    return Page ? <Page /> : <Loading />;
  };
}
