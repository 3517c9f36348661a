import { lazy, Suspense, useEffect, useState } from 'react';
import { useLocation } from 'wouter';

import { uploadPath } from '../app/routes';
import { useSession } from '../app/session';

// every page has this component: it loads the rest when files are dragged over the page
const DropOverlay = lazy(() => import('./DropOverlay'));

/** Takes files that are dropped anywhere in the application to the page of uploads, of callers who may upload. */
export function DropAnywhere() {
  const [, navigate] = useLocation();
  const mayUpload = useSession().may('UPLOAD');
  const [isOver, setIsOver] = useState(false);

  useEffect(() => {
    const onDrag = (event: DragEvent) => {
      const { type, dataTransfer } = event;
      if (!dataTransfer?.types.includes('Files')) return;
      // without it, the browser would leave the page and open the file
      event.preventDefault();
      dataTransfer.dropEffect = mayUpload ? 'copy' : 'none';
      setIsOver(mayUpload && type === 'dragover');
      if (!mayUpload || type !== 'drop') return;
      // afterwards, the items are gone
      const entries = Array.from(dataTransfer.items, (item) => item.webkitGetAsEntry());
      void import('./drop').then(({ drop }) => drop(entries));
      navigate(uploadPath());
    };
    const onLeave = ({ relatedTarget }: DragEvent) => {
      if (!relatedTarget) setIsOver(false);
    };
    const listeners = { dragover: onDrag, drop: onDrag, dragleave: onLeave };
    for (const [type, listener] of Object.entries(listeners))
      document.addEventListener(type, listener as EventListener);
    return () => {
      for (const [type, listener] of Object.entries(listeners))
        document.removeEventListener(type, listener as EventListener);
    };
  }, [navigate, mayUpload]);

  return <Suspense>{isOver && <DropOverlay />}</Suspense>;
}
