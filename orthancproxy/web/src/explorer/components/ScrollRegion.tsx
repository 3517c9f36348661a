import { ScrollArea, Title } from '@mantine/core';
import { type ReactNode, useId } from 'react';

interface ScrollRegionProps {
  title: string;
  /** Above which the content scrolls, as CSS has it. */
  maxHeight: string;
  children: ReactNode;
}

/** A part of a dialog that scrolls by itself, also with the keyboard, below its title. */
export function ScrollRegion({ title, maxHeight, children }: ScrollRegionProps) {
  const heading = useId();
  return (
    <>
      <Title order={3} size="h5" id={heading}>
        {title}
      </Title>
      <ScrollArea.Autosize
        mah={maxHeight}
        viewportProps={{ tabIndex: 0, role: 'region', 'aria-labelledby': heading }}
        type="auto"
      >
        {children}
      </ScrollArea.Autosize>
    </>
  );
}
