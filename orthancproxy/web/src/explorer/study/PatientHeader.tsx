import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { patientPath } from '../app/routes';
import { PersonName } from '../components/PersonName';
import type { PatientHeaderFragment } from '../graphql/generated/graphql';
import { formatDate } from '../i18n/format';
import { ageAt } from './age';
import { EditableLabels } from './EditableLabels';
import { Labels } from './Labels';
import classes from './PatientHeader.module.css';

interface PatientHeaderProps {
  patient: PatientHeaderFragment;
  /** Of the study that is shown, for the patient's age. */
  studyDate?: string | null;
  /** Whether the name leads to the patient's page; there, it is the title. */
  linked?: boolean;
  children?: ReactNode;
}

/** Who the patient is: what readers compare before they look at anything else. */
export function PatientHeader({ patient, studyDate, linked = false, children }: PatientHeaderProps) {
  const { t } = useTranslation('study');
  const age = ageAt(patient.birthDate, studyDate);
  const sex = patient.sex?.trim().toUpperCase();
  const name = <PersonName name={patient.name} />;
  return (
    <div className={classes.patient}>
      <div className={classes.who}>
        {linked ? (
          <Link href={patientPath(patient.orthancId)} className={classes.name} title={t('patientFacts.toPatient')}>
            {name}
          </Link>
        ) : (
          <h1 className={classes.name}>{name}</h1>
        )}
        <p className={classes.facts}>
          {patient.patientId ? (
            <span>
              <span className={classes.label}>{t('patientFacts.patientId')}</span>{' '}
              <bdi className={classes.id}>{patient.patientId}</bdi>
            </span>
          ) : (
            <span className={classes.label}>{t('patientFacts.noPatientId')}</span>
          )}
          {patient.birthDate && (
            <span>
              <span className={classes.label}>{t('patientFacts.birthDate')}</span> {formatDate(patient.birthDate)}
              {age !== undefined && ` (${t('patientFacts.age', { count: age })})`}
            </span>
          )}
          {sex && <span>{isSex(sex) ? t(`patientFacts.sex.${sex}`) : sex}</span>}
          {linked && <Labels labels={patient.labels} />}
        </p>
        {!linked && <EditableLabels level="PATIENT" orthancId={patient.orthancId} labels={patient.labels} />}
      </div>
      {children}
    </div>
  );
}

function isSex(text: string): text is 'M' | 'F' | 'O' {
  return text === 'M' || text === 'F' || text === 'O';
}
