import { ActionIcon } from '@mantine/core';
import { IconArrowLeft } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { studyPath } from '../app/routes';
import { PersonName } from '../components/PersonName';
import { formatDate } from '../i18n/format';
import type { StudyOfViewer } from './index';
import classes from './Viewer.module.css';

/** Whose images these are. It stays in sight, as does the notice. */
export function Header({ study }: { study: StudyOfViewer }) {
  const { t } = useTranslation('viewer');
  const { patient } = study;
  return (
    <header className={classes.header}>
      <ActionIcon
        component={Link}
        href={studyPath(study.orthancId)}
        variant="subtle"
        color="gray"
        size="lg"
        aria-label={t('back')}
        title={t('back')}
      >
        <IconArrowLeft size={20} aria-hidden="true" />
      </ActionIcon>
      <h1 className={classes.patient}>
        <PersonName name={patient.name} />
        <bdi className={classes.patientId}>{patient.patientId}</bdi>
      </h1>
      <p className={classes.study}>
        <bdi dir="auto">{study.description}</bdi>
        <span>{formatDate(study.studyDate)}</span>
      </p>
      <p className={classes.notice}>{t('notice')}</p>
    </header>
  );
}
