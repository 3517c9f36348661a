import { Anchor } from '@mantine/core';
import type { ReactNode } from 'react';
import { Link } from 'wouter';

import { studyPath } from '../app/routes';
import { graphql } from '../graphql/generated';
import type { StudyCellFragment } from '../graphql/generated/graphql';
import { formatDate } from '../i18n/format';
import { PersonName } from './PersonName';
import classes from './StudyCell.module.css';

export const STUDY_CELL = graphql(`
  fragment StudyCell on Study {
    id
    orthancId
    description
    studyDate
    patient {
      id
      name {
        ...Name
      }
    }
  }
`);

interface StudyCellProps {
  study: StudyCellFragment;
  untitled: string;
  /** It has no page, as it is in the trash. */
  isHidden?: boolean;
  /** Further facts, after the patient's name. */
  children?: ReactNode;
}

/** A study in a table, with its patient. */
export function StudyCell({ study, untitled, isHidden, children }: StudyCellProps) {
  const title = <bdi dir="auto">{study.description || untitled}</bdi>;
  return (
    <>
      {isHidden ? (
        title
      ) : (
        <Anchor component={Link} href={studyPath(study.orthancId)} inherit>
          {title}
        </Anchor>
      )}
      <div className={classes.patient}>
        <PersonName name={study.patient.name} />
        {children}
        <span>{formatDate(study.studyDate)}</span>
      </div>
    </>
  );
}
