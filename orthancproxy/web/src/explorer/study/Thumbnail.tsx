import { IconFileText, IconPhotoOff } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';

import classes from './Thumbnail.module.css';

/** Modalities (PS3.3 section C.7.3.1.1.1) whose instances have no image. */
const WITHOUT_IMAGES = new Set(
  'AR ASMT AU DOC ECG EPS HD IOL KER KO LEN OAM PLAN PR PPG REG RTPLAN RTRECORD RTSTRUCT RWV SR SRF STAIN TEXTUREMAP'.split(
    ' ',
  ),
);

interface ThumbnailProps {
  /** Undefined where the caller may not see images. */
  url: string | undefined;
  modality?: string | null;
}

/** A picture that is loaded when it comes into view, or a symbol in its place. It fills what it is in. */
export function Thumbnail({ url, modality }: ThumbnailProps) {
  const { t } = useTranslation('study');
  const [hasFailed, setFailed] = useState(false);
  if (modality && WITHOUT_IMAGES.has(modality)) {
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
