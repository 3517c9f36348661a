import { IconFileText, IconPhotoOff } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import { hasImages } from '../components/modalities';
import classes from './Thumbnail.module.css';

interface ThumbnailProps {
  /** Undefined where the caller may not see images. */
  url: string | undefined;
  modality?: string | null;
}

/** A picture that is loaded when it comes into view, or a symbol in its place. It fills what it is in. */
export function Thumbnail({ url, modality }: ThumbnailProps) {
  const { t } = useTranslation('study');
  const [hasFailed, setFailed] = useState(false);
  if (!hasImages(modality)) {
    return (
      <span className={classes.symbol}>
        <IconFileText size="38%" stroke={1.2} aria-hidden="true" />
      </span>
    );
  }
  if (!url || hasFailed) {
    return (
      <span className={classes.symbol} title={t('noPreview')}>
        <IconPhotoOff size="30%" stroke={1.2} aria-hidden="true" />
      </span>
    );
  }
  // what it shows is in the text beside it
  return (
    <img src={url} alt="" loading="lazy" decoding="async" className={classes.image} onError={() => setFailed(true)} />
  );
}
