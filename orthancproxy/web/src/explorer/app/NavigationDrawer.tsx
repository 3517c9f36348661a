import { Drawer } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import { Navigation } from './Navigation';

/** The navigation on small screens. */
export default function NavigationDrawer({ close }: { close: () => void }) {
  const { t } = useTranslation('app');
  return (
    <Drawer opened onClose={close} size="16rem" title={t('title')} closeButtonProps={{ 'aria-label': t('dismiss') }}>
      <Navigation />
    </Drawer>
  );
}
