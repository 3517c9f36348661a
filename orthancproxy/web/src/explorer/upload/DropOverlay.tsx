import { IconUpload } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';

import classes from './DropOverlay.module.css';

/** Covers the page while files are dragged over it. */
export default function DropOverlay() {
  const { t } = useTranslation('upload');
  return (
    <div className={classes.overlay}>
      <div className={classes.frame}>
        <IconUpload size={48} stroke={1.5} aria-hidden="true" />
        <span>{t('drop.release')}</span>
      </div>
    </div>
  );
}
