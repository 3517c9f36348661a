import { Anchor } from '@mantine/core';
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

/** A study in a table, with its patient. */
export function StudyCell({ study, untitled }: { study: StudyCellFragment; untitled: string }) {
  return (
    <>
      <Anchor component={Link} href={studyPath(study.orthancId)} inherit>
        <bdi dir="auto">{study.description || untitled}</bdi>
      </Anchor>
      <div className={classes.patient}>
        <PersonName name={study.patient.name} />
        <span>{formatDate(study.studyDate)}</span>
      </div>
    </>
  );
}
