import { ActionIcon, Tooltip } from '@mantine/core';
import type { ReactNode } from 'react';

import classes from './Toolbar.module.css';

interface ToolButtonProps {
  label: string;
  shortcut?: string;
  /** Undefined for a button that has no two states. */
  isPressed?: boolean;
  /** Why it does nothing now. */
  obstacle?: string;
  isDisabled?: boolean;
  onClick(): void;
  children: ReactNode;
}

export function ToolButton(props: ToolButtonProps) {
  const { label, shortcut, isPressed, obstacle, isDisabled = Boolean(obstacle), onClick, children } = props;
  const name = obstacle ? `${label}: ${obstacle}` : label;
  return (
    <Tooltip label={shortcut ? `${name} (${shortcut})` : name} openDelay={400} multiline maw={320} withinPortal>
      <ActionIcon
        size="lg"
        variant={isPressed ? 'filled' : 'subtle'}
        color={isPressed ? undefined : 'gray'}
        aria-label={name}
        aria-keyshortcuts={shortcut}
        aria-pressed={isPressed}
        // it keeps the focus and its tooltip
        aria-disabled={isDisabled || undefined}
        data-disabled={isDisabled || undefined}
        onClick={isDisabled ? undefined : onClick}
        className={classes.button}
      >
        {children}
      </ActionIcon>
    </Tooltip>
  );
}
