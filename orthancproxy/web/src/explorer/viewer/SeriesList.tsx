import { useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';

import { formatNumber } from '../i18n/format';
import { Thumbnail } from '../study/Thumbnail';
import type { StudyOfViewer } from './index';
import classes from './SeriesList.module.css';

interface SeriesListProps {
  series: StudyOfViewer['series'];
  /** The series of all panes. */
  shown: readonly string[];
  /** That of the active pane. */
  active: string;
  onChoose(orthancId: string): void;
}

/** The series of the study: the one that is chosen is shown in the active pane. */
export function SeriesList({ series, shown, active, onChoose }: SeriesListProps) {
  const { t } = useTranslation('viewer');
  const list = useRef<HTMLUListElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the list scrolls to what has become active
  useEffect(() => {
    list.current?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }, [active]);
  return (
    <nav className={classes.region} aria-label={t('seriesList')}>
      <ul ref={list} className={classes.list}>
        {series.map((one) => {
          const description = one.description || t('noDescription');
          return (
            <li key={one.id}>
              <button
                type="button"
                className={classes.series}
                aria-current={one.orthancId === active || undefined}
                data-shown={shown.includes(one.orthancId) || undefined}
                onClick={() => onChoose(one.orthancId)}
              >
                <span className={classes.picture}>
                  <Thumbnail url={one.thumbnailUrl} modality={one.modality} />
                  <span className={classes.count} aria-hidden="true">
                    {formatNumber(one.instancesCount)}
                  </span>
                </span>
                <span className={classes.text}>
                  <span className={classes.modality}>
                    {[one.seriesNumber, one.modality].filter((part) => part !== null && part !== '').join(' · ')}
                  </span>
                  <bdi dir="auto" className={classes.description}>
                    {description}
                  </bdi>
                </span>
              </button>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}
