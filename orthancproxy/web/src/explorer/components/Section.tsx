import { Title } from '@mantine/core';
import { type ReactNode, useId } from 'react';

import classes from './Section.module.css';

/** A part of a page, with a heading. */
export function Section({ title, children }: { title: string; children: ReactNode }) {
  const id = useId();
  return (
    <section className={classes.section} aria-labelledby={id}>
      <Title order={2} size="h5" id={id} className={classes.title}>
        {title}
      </Title>
      {children}
    </section>
  );
}
