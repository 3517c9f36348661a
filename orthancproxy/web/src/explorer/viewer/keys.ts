import { useEffect, useRef } from 'react';

// Of what is in a dialog, a menu or a field, these have other meanings.
const ELSEWHERE = '[role="dialog"], [role="menu"], textarea, select, input:not([type="range"])';
// A slider and a button have these for themselves.
const OF_SLIDERS = new Set(['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'PageUp', 'PageDown', 'Home', 'End']);

/** A key by its `KeyboardEvent.key`, and what it does. */
export type KeyHandler = readonly [key: string, handle: () => void];

/** Calls the handler of a key; letters are in lower case, with `Shift+` before them if it is held. */
export function useKeys(handlers: readonly KeyHandler[]): void {
  const current = useRef(handlers);
  current.current = handlers;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const target = event.target as HTMLElement;
      if (target.closest?.(ELSEWHERE)) return;
      if (target.matches?.('input[type="range"]') && OF_SLIDERS.has(event.key)) return;
      if (target.closest?.('button, a, summary') && (event.key === ' ' || event.key === 'Enter')) return;
      const name = nameOf(event);
      const found = current.current.find(([key]) => key === name);
      if (!found) return;
      event.preventDefault();
      found[1]();
    };
    document.addEventListener('keydown', pressed);
    return () => document.removeEventListener('keydown', pressed);
  }, []);
}

/** The letter of the key itself where the language of the keyboard has others. */
function nameOf({ key, code, shiftKey }: KeyboardEvent): string {
  const letter = /^Key([A-Z])$/.exec(code)?.[1]?.toLowerCase();
  if (letter) return shiftKey ? `Shift+${letter}` : letter;
  return /^Digit\d$/.test(code) ? code.slice(-1) : key;
}
