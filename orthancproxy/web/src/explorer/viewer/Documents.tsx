import { ActionIcon, Button } from '@mantine/core';
import { IconChevronLeft, IconChevronRight, IconDownload, IconFileUnknown } from '@tabler/icons-react';
import { type ReactNode, useEffect, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { formatNumber } from '../i18n/format';
import { useMetadata } from '../study/metadata';
import classes from './Documents.module.css';
import type { StudyOfViewer } from './index';
import { type Engine, loadEngine } from './loadEngine';
import type { SeriesOfViewer } from './Pane';
import { type ReportItem, reportOf } from './report';
import type { InstanceOfViewer, SeriesContent } from './useSlices';

interface DocumentsProps {
  study: StudyOfViewer;
  series: SeriesOfViewer;
  documents: SeriesContent['documents'];
}

/** The instances of a series that has no images: one at a time, each with its file. */
export function Documents({ study, series, documents }: DocumentsProps) {
  const { t } = useTranslation('viewer');
  const [index, setIndex] = useState(0);
  const shown = documents[index];
  if (!shown) return <Nothing />;
  const { instance, content } = shown;
  const position = { number: formatNumber(index + 1), total: formatNumber(documents.length) };
  return (
    <div className={classes.documents}>
      <div className={classes.bar}>
        <h2 className={classes.title}>{t(`document.${content}`)}</h2>
        {documents.length > 1 && (
          <span className={classes.position}>
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t('document.previous')}
              disabled={index === 0}
              onClick={() => setIndex(index - 1)}
            >
              <IconChevronLeft size={18} aria-hidden="true" />
            </ActionIcon>
            <span aria-live="polite">{t('document.page', position)}</span>
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t('document.next')}
              disabled={index === documents.length - 1}
              onClick={() => setIndex(index + 1)}
            >
              <IconChevronRight size={18} aria-hidden="true" />
            </ActionIcon>
          </span>
        )}
        <Button
          component="a"
          href={instance.fileUrl}
          download
          size="compact-md"
          variant="default"
          leftSection={<IconDownload size={16} />}
        >
          {t('download')}
        </Button>
      </div>
      <div className={classes.content} key={instance.id}>
        {content === 'pdf' && <Pdf fileUrl={instance.fileUrl} />}
        {content === 'video' && <Video fileUrl={instance.fileUrl} />}
        {content === 'report' && <Report study={study} series={series} instance={instance} />}
        {content === 'other' && <Nothing />}
      </div>
    </div>
  );
}

function Nothing() {
  const { t } = useTranslation('viewer');
  return (
    <div className={classes.nothing}>
      <IconFileUnknown size={44} stroke={1.2} aria-hidden="true" />
      <p>{t('document.otherText')}</p>
    </div>
  );
}

function Pdf({ fileUrl }: { fileUrl: string }) {
  const { t } = useTranslation('viewer');
  return (
    <OfFile fileUrl={fileUrl} extract={(engine) => engine.pdfOf(fileUrl)}>
      {(url) =>
        navigator.pdfViewerEnabled ? (
          <iframe src={url} title={t('document.pdf')} className={classes.pdf} />
        ) : (
          <div className={classes.nothing}>
            <Button component="a" href={url} download="document.pdf" leftSection={<IconDownload size={16} />}>
              {t('document.savePdf')}
            </Button>
          </div>
        )
      }
    </OfFile>
  );
}

function Video({ fileUrl }: { fileUrl: string }) {
  const { t } = useTranslation('viewer');
  const [hasFailed, setFailed] = useState(false);
  if (hasFailed) return <p className={classes.nothing}>{t('document.noVideo')}</p>;
  return (
    <OfFile fileUrl={fileUrl} extract={(engine) => engine.videoOf(fileUrl)}>
      {(url) => (
        // biome-ignore lint/a11y/useMediaCaption: medical videos have none
        <video src={url} controls className={classes.video} onError={() => setFailed(true)} />
      )}
    </OfFile>
  );
}

interface OfFileProps {
  fileUrl: string;
  extract(engine: Engine): Promise<Blob>;
  children(url: string): ReactNode;
}

/** Shows what is in a DICOM file, under a URL of its own for as long as it is shown. */
function OfFile({ fileUrl, extract, children }: OfFileProps) {
  const [url, setUrl] = useState<string>();
  const [error, setError] = useState<Error>();
  // biome-ignore lint/correctness/useExhaustiveDependencies: what is extracted depends on the file
  useEffect(() => {
    let made = '';
    let isOver = false;
    loadEngine()
      .then(extract)
      .then((blob) => {
        if (isOver) return;
        made = URL.createObjectURL(blob);
        setUrl(made);
      })
      .catch(setError);
    return () => {
      isOver = true;
      URL.revokeObjectURL(made);
    };
  }, [fileUrl]);
  if (error) return <ErrorMessage error={error} />;
  return url ? children(url) : <Loading />;
}

interface ReportProps {
  study: StudyOfViewer;
  series: SeriesOfViewer;
  instance: InstanceOfViewer;
}

function Report({ study, series, instance }: ReportProps) {
  const uids = {
    study: study.studyInstanceUID,
    series: series.seriesInstanceUID,
    instance: instance.sopInstanceUID,
  };
  const { dataset, error, retry } = useMetadata(uids);
  if (error) return <ErrorMessage error={error} retry={retry} />;
  if (!dataset) return <Loading />;
  const { name, children } = reportOf(dataset);
  return (
    <article className={classes.report}>
      <h3>
        <bdi dir="auto">{name}</bdi>
      </h3>
      <Items items={children} />
    </article>
  );
}

function Items({ items }: { items: readonly ReportItem[] }) {
  return (
    <ul className={classes.items}>
      {items.map(({ name, value, children }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a report does not change
        <li key={index}>
          {name && (
            <bdi dir="auto" className={value ? classes.name : classes.heading}>
              {name}
            </bdi>
          )}
          {value && (
            <bdi dir="auto" className={classes.value}>
              {value}
            </bdi>
          )}
          {children.length > 0 && <Items items={children} />}
        </li>
      ))}
    </ul>
  );
}
