import { useDisclosure } from '@mantine/hooks';
import type { ComponentType, ReactNode } from 'react';

import { useOnDemand } from '../app/useOnDemand';
import i18n from '../i18n';

interface Opened {
  opened: boolean;
  onClose: () => void;
}

const DIALOGS = {
  correct: () => import('./CorrectDialog'),
  merge: () => import('./MergeDialog'),
  move: () => import('./MoveDialog'),
};

type Name = keyof typeof DIALOGS;
type PropsOf<N extends Name> = Parameters<Awaited<ReturnType<(typeof DIALOGS)[N]>>['default']>[0];

/** A dialog of this folder, loaded with its texts when it is first opened, and the function that opens it. */
export function useChangeDialog<N extends Name>(
  name: N,
  props: Omit<PropsOf<N>, keyof Opened>,
): { open: () => void; dialog: ReactNode } {
  const [isOpen, disclosure] = useDisclosure(false);
  const [Dialog, load] = useOnDemand(async () => {
    const [dialog] = await Promise.all([DIALOGS[name](), i18n.loadNamespaces(['correction', 'jobs'])]);
    return dialog as { default: ComponentType<Omit<PropsOf<N>, keyof Opened> & Opened> };
  });
  return {
    open: () => {
      load();
      disclosure.open();
    },
    dialog: Dialog && <Dialog {...props} opened={isOpen} onClose={disclosure.close} />,
  };
}
