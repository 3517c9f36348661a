import type { Content } from './contents';
import type { SelectedFile } from './files';
import type { Header } from './headers';
import { comparable } from './names';

/** What will become a series: the files of one modality in a folder. */
export interface SeriesSummary {
  readonly folder: string;
  /** Empty where the files do not say. */
  readonly modality: string;
  /** Of the first file that has one. */
  readonly description: string;
  readonly files: number;
  readonly bytes: number;
}

/** A patient that the files name. */
export interface FoundPatient {
  readonly patientId: string;
  readonly patientName: string;
  readonly birthDate: string;
  readonly files: number;
}

/** What will happen to selected files, as far as they were looked at. ZIPs count as the files in them. */
export interface Summary {
  readonly series: readonly SeriesSummary[];
  /** Patients of the files, those of the most files first. */
  readonly patients: readonly FoundPatient[];
  /** The StudyDescription that all files have, or nothing. */
  readonly studyDescription: string;
  /** Number of DICOM files. */
  readonly files: number;
  /** Names of files that do not look like DICOM. */
  readonly suspects: readonly string[];
}

/** Summarize the contents of the first files. */
export function summarize(files: readonly SelectedFile[], contents: readonly Content[]): Summary {
  const series = new Map<string, SeriesSummary>();
  const patients = new Map<string, FoundPatient>();
  const descriptions = new Set<string>();
  const suspects: string[] = [];
  for (const { folder, name, bytes, header } of filesOf(files, contents)) {
    if (!header) {
      suspects.push(name);
      continue;
    }
    const ofSeries = JSON.stringify([folder, header.modality]);
    const known = series.get(ofSeries);
    series.set(ofSeries, {
      folder,
      modality: header.modality,
      description: known?.description || header.seriesDescription,
      files: (known?.files ?? 0) + 1,
      bytes: (known?.bytes ?? 0) + bytes,
    });
    descriptions.add(header.studyDescription);
    if (!header.patientId && !header.patientName) continue;
    const ofPatient = JSON.stringify([header.patientId, comparable(header.patientName), header.birthDate]);
    const patient = patients.get(ofPatient);
    patients.set(ofPatient, {
      patientId: header.patientId,
      patientName: patient?.patientName ?? header.patientName,
      birthDate: header.birthDate,
      files: (patient?.files ?? 0) + 1,
    });
  }
  return {
    series: [...series.values()],
    patients: [...patients.values()].sort((a, b) => b.files - a.files),
    studyDescription: descriptions.size === 1 ? ([...descriptions][0] ?? '') : '',
    files: [...series.values()].reduce((sum, { files }) => sum + files, 0),
    suspects,
  };
}

/**
 * The patients to warn of before all files become this patient's: all that the files name, if these are several or
 * another one.
 */
export function otherPatients(
  patients: readonly FoundPatient[],
  patientId: string,
  patientName: string,
): readonly FoundPatient[] {
  const isGiven = (patient: FoundPatient) =>
    patient.patientId === patientId && comparable(patient.patientName) === comparable(patientName || patientId);
  return patients.length > 1 || (patientId && !patients.every(isGiven)) ? patients : [];
}

function* filesOf(
  files: readonly SelectedFile[],
  contents: readonly Content[],
): Generator<{ folder: string; name: string; bytes: number; header: Header | null }> {
  for (const [index, content] of contents.entries()) {
    const { folder, file } = files[index] as SelectedFile;
    if (content.kind !== 'zip') {
      yield { folder, name: file.name, bytes: file.size, header: content.kind === 'dicom' ? content.header : null };
      continue;
    }
    for (const zipped of content.files) {
      yield { ...zipped, folder: [folder, zipped.folder].filter(Boolean).join('/') };
    }
  }
}
