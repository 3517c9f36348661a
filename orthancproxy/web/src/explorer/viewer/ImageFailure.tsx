import { Button } from '@mantine/core';
import { IconDownload, IconPhotoOff, IconRefresh } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';

import { FileError, GraphicsError, ImageError, VolumeError } from './errors';
import classes from './Pane.module.css';

interface ImageFailureProps {
  error: Error;
  fileUrl: string | undefined;
  retry(): void;
}

/** Why an image is not shown, over the place where it would be. */
export function ImageFailure({ error, fileUrl, retry }: ImageFailureProps) {
  const { t } = useTranslation('viewer');
  const isFormat = error instanceof ImageError;
  const isVolume = error instanceof VolumeError;
  const isGraphics = error instanceof GraphicsError;
  const isMissing = error instanceof FileError && (error.status === 403 || error.status === 404);
  const cause = isFormat ? 'format' : isVolume ? 'volume' : isGraphics ? 'graphics' : isMissing ? 'missing' : 'network';
  return (
    <div className={classes.failure} role="alert">
      <IconPhotoOff size={40} stroke={1.2} aria-hidden="true" />
      <p>{t(`errors.${cause}`)}</p>
      {isFormat
        ? fileUrl && (
            <Button component="a" href={fileUrl} download variant="default" leftSection={<IconDownload size={16} />}>
              {t('download')}
            </Button>
          )
        : !isMissing &&
          !isVolume && (
            <Button
              variant="default"
              leftSection={<IconRefresh size={16} />}
              onClick={isGraphics ? () => location.reload() : retry}
            >
              {t('retry')}
            </Button>
          )}
    </div>
  );
}
