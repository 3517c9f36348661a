import { memo } from 'react';
import { useTranslation } from 'react-i18next';

import { PersonName } from '../components/PersonName';
import { formatDate, formatNumber } from '../i18n/format';
import { scaleLength } from './geometry';
import type { StudyOfViewer } from './index';
import classes from './Overlay.module.css';
import type { SeriesOfViewer } from './Pane';
import type { ViewState } from './viewState';

const MAX_SCALE_PIXELS = 160;

interface OverlayProps {
  study: StudyOfViewer;
  series: SeriesOfViewer;
  state: ViewState;
  /** What is scrolled. */
  name: string;
}

/** Patient, image, directions and scale, around the image. */
export function Overlay({ study, series, state, name }: OverlayProps) {
  const { t } = useTranslation('viewer');
  const { image, window, edges } = state;
  const percent = formatNumber(state.zoom / 100, { style: 'percent' });
  return (
    <div className={classes.overlay} dir="ltr">
      <Whose study={study} series={series} />
      {state.isReady && image && (
        <>
          <ul className={classes.bottomLeft}>
            <li>
              {name} {t('imageOf', { number: formatNumber(state.index + 1), total: formatNumber(state.total) })}
            </li>
            {state.sliceLocation !== undefined && (
              <li>
                {t('overlay.location', { value: formatNumber(state.sliceLocation, { maximumFractionDigits: 1 }) })}
              </li>
            )}
            {image.sliceThickness !== undefined && (
              <li>
                {t('overlay.thickness', { value: formatNumber(image.sliceThickness, { maximumFractionDigits: 2 }) })}
              </li>
            )}
            {image.isLossy && <li>{t('overlay.lossy')}</li>}
          </ul>
          <ul className={classes.bottomRight}>
            {window && !image.isColor && (
              <li>
                {t('overlay.window', {
                  width: formatNumber(window.width, { maximumFractionDigits: 1 }),
                  center: formatNumber(window.center, { maximumFractionDigits: 1 }),
                })}
              </li>
            )}
            <li>{t('overlay.zoom', { zoom: percent })}</li>
            {image.rows > 0 && (
              <li>
                {formatNumber(image.columns)} × {formatNumber(image.rows)}
              </li>
            )}
          </ul>
          {edges &&
            (['top', 'right', 'bottom', 'left'] as const).map((edge) => (
              <span key={edge} className={classes[edge]}>
                {edges[edge]}
              </span>
            ))}
          <Scale mmPerPixel={state.mmPerPixel} />
        </>
      )}
    </div>
  );
}

/** The patient and the study, which stay as the images change. */
const Whose = memo(function Whose({ study, series }: Pick<OverlayProps, 'study' | 'series'>) {
  const { patient } = study;
  return (
    <>
      <ul className={classes.topLeft}>
        <li>
          <PersonName name={patient.name} />
        </li>
        <li>
          <bdi>{patient.patientId}</bdi>
        </li>
        <li>{[formatDate(patient.birthDate), patient.sex].filter(Boolean).join(' · ')}</li>
      </ul>
      <ul className={classes.topRight}>
        <li>
          <bdi dir="auto">{study.description}</bdi>
        </li>
        <li>{formatDate(study.studyDate)}</li>
        <li>
          <bdi dir="auto">
            {[series.seriesNumber, series.description].filter((part) => part !== null && part !== '').join(' · ')}
          </bdi>
        </li>
      </ul>
    </>
  );
});

/** A bar of a round length. */
function Scale({ mmPerPixel }: { mmPerPixel: number | null }) {
  const length = mmPerPixel && scaleLength(mmPerPixel, MAX_SCALE_PIXELS);
  if (!length || !mmPerPixel) return null;
  const text =
    length >= 10 ? `${formatNumber(length / 10)} cm` : `${formatNumber(length, { maximumFractionDigits: 3 })} mm`;
  return (
    <span className={classes.scale} style={{ width: length / mmPerPixel }}>
      {text}
    </span>
  );
}
