/** A new `clientMutationId`: with the same one, a request that is sent twice is carried out once. */
export function newMutationId(): string {
  // `randomUUID` is there in secure contexts only
  return Array.from(crypto.getRandomValues(new Uint32Array(4))).join('-');
}
