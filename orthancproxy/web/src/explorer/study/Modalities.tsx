import classes from './Modalities.module.css';

export function Modalities({ modalities }: { modalities: readonly string[] }) {
  return (
    <span className={classes.modalities}>
      {modalities.map((modality) => (
        <span key={modality} className={classes.modality}>
          {modality}
        </span>
      ))}
    </span>
  );
}
