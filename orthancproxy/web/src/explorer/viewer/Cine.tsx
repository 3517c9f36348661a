import { IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';

import { formatNumber } from '../i18n/format';
import { ToolButton } from './ToolButton';
import classes from './Toolbar.module.css';
import { type CineControl, MAX_RATE, MIN_RATE } from './useCine';

/** Plays the images of the active pane. */
export function Cine({ cine }: { cine: CineControl }) {
  const { t } = useTranslation('viewer');
  const Icon = cine.isPlaying ? IconPlayerPause : IconPlayerPlay;
  return (
    <>
      <ToolButton
        label={t(cine.isPlaying ? 'cine.pause' : 'cine.play')}
        shortcut={t('keyList.space')}
        onClick={cine.toggle}
      >
        <Icon size={20} stroke={1.7} aria-hidden="true" />
      </ToolButton>
      <input
        type="range"
        className={classes.rate}
        min={MIN_RATE}
        max={MAX_RATE}
        value={cine.rate}
        aria-label={t('cine.rate')}
        onChange={(event) => cine.setRate(Number(event.currentTarget.value))}
      />
      <span className={classes.rateValue}>{formatNumber(cine.rate)}/s</span>
    </>
  );
}
