import { ActionIcon, Tooltip } from '@mantine/core';
import type { ReactNode } from 'react';

import classes from './Toolbar.module.css';

interface ToolButtonProps {
  label: string;
  shortcut?: string;
  /** Undefined for a button that has no two states. */
  isPressed?: boolean;
  onClick(): void;
  children: ReactNode;
}

export function ToolButton({ label, shortcut, isPressed, onClick, children }: ToolButtonProps) {
  return (
    <Tooltip label={shortcut ? `${label} (${shortcut})` : label} openDelay={400} withinPortal>
      <ActionIcon
        size="lg"
        variant={isPressed ? 'filled' : 'subtle'}
        color={isPressed ? undefined : 'gray'}
        aria-label={label}
        aria-keyshortcuts={shortcut}
        aria-pressed={isPressed}
        onClick={onClick}
        className={classes.button}
      >
        {children}
      </ActionIcon>
    </Tooltip>
  );
}
