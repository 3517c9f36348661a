import classes from './Planes.module.css';
import type { ViewState } from './viewState';

/** Where the other planes of the volume are. */
export function PlaneLines({ lines }: Pick<ViewState, 'lines'>) {
  if (lines.length === 0) return null;
  return (
    <svg className={classes.lines} aria-hidden="true">
      {lines.map(({ plane, from, to }) => (
        <line key={plane} data-plane={plane} x1={from[0]} y1={from[1]} x2={to[0]} y2={to[1]} />
      ))}
    </svg>
  );
}
