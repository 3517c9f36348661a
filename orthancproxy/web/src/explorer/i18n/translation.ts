/**
 * The texts of another language: the same keys as in English. Those with `_one` may be missing, since Korean and
 * Japanese have one plural form.
 */
export type Translation<English> = {
  [Key in keyof English as Key extends `${string}_one` ? never : Key]: English[Key] extends string
    ? string
    : Translation<English[Key]>;
};
