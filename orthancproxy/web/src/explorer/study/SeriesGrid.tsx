import { IconPhoto } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation, useParams } from 'wouter';

import { viewerPath } from '../app/routes';
import { useSession } from '../app/session';
import type { SeriesCardFragment } from '../graphql/generated/graphql';
import { formatNumber } from '../i18n/format';
import { Labels } from './Labels';
import classes from './SeriesGrid.module.css';
import { Thumbnail } from './Thumbnail';

/** The series of a study as cards. Each leads to its instances; the browser loads thumbnails as they come into view. */
export function SeriesGrid({ series }: { series: readonly SeriesCardFragment[] }) {
  const { t } = useTranslation('study');
  return (
    <section aria-labelledby="series" className={classes.section}>
      <h2 id="series" className={classes.title}>
        {t('seriesTitle')}
      </h2>
      <ul className={classes.grid}>
        {series.map((one) => (
          <li key={one.id}>
            <SeriesCard series={one} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function SeriesCard({ series }: { series: SeriesCardFragment }) {
  const { t } = useTranslation('study');
  const { may } = useSession();
  const [location] = useLocation();
  const { orthancId: studyOrthancId = '' } = useParams();
  const name = series.description || t('noSeriesDescription');
  return (
    <div className={classes.cell}>
      <Link href={`${location}?series=${encodeURIComponent(series.orthancId)}`} className={classes.card}>
        <span className={classes.picture}>
          <Thumbnail url={may('DOWNLOAD') ? series.thumbnailUrl : undefined} modality={series.modality} />
          {series.modality && <span className={classes.modality}>{series.modality}</span>}
          <span className={classes.count}>
            {formatNumber(series.instancesCount)}
            <span className={classes.unseen}> {t('seriesDrawer.instances')}</span>
          </span>
        </span>
        <span className={classes.text}>
          {series.seriesNumber !== null && <span className={classes.number}>{series.seriesNumber}</span>}
          <span className={series.description ? classes.description : classes.none}>
            <bdi dir="auto">{name}</bdi>
          </span>
        </span>
        <Labels labels={series.labels} />
      </Link>
      {may('DOWNLOAD') && (
        <Link
          href={viewerPath(studyOrthancId, [series.orthancId])}
          className={classes.view}
          aria-label={t('viewSeries', { name })}
          title={t('viewSeries', { name })}
        >
          <IconPhoto size={18} stroke={1.6} aria-hidden="true" />
        </Link>
      )}
    </div>
  );
}
