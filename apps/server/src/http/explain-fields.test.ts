import { describe, expect, test } from 'vitest'
import { explainFields } from './explain-fields.ts'

const told = (field: string, message: string) => explainFields({ fields: { [field]: { message, value: 'canary' } } })

describe('explainFields', () => {
  test.each([
    ['body.db.password', "'password' is required", 'db.password: is required'],
    ['body', 'invalid object', 'body: must be a JSON object'],
    ['body.id', 'must be a name', 'id: must be a name'],
    ['wait', 'max 600', 'wait: must be at most 600'],
    ['body.name', 'minLength 1', 'name: must not be empty'],
    ['body.name', 'minLength 3', 'name: must have at least 3 characters'],
    ['status', "should be one of the following; ['OK','FATAL']", "status: must be one of 'OK', 'FATAL'"],
  ])('says of %s: %s', (field, message, sentence) => {
    expect(told(field, message)).toBe(sentence)
  })

  test('says each way in which a union could be met', () => {
    const issues = [
      { deleteAt: { message: 'invalid string value', value: 'canary' } },
      { deleteAt: { message: 'should be one of the following; [null]', value: 'canary' } },
    ]
    const message = `Could not match the union against any of the items. Issues: ${JSON.stringify(issues)}`
    expect(told('body.deleteAt', message)).toBe('deleteAt: must be a text, or must be null')
  })

  test('passes on no message that it does not know, since it may hold what was sent', () => {
    expect(told('body.name', 'canary is not allowed')).toBe('name: has another form than /docs says')
  })

  test('names an unknown field only where its name is one that a programmer would write', () => {
    const excess = (key: string) => `"${key}" is an excess property and therefore is not allowed`
    expect(told('body.db.pasword', excess('pasword'))).toBe('db.pasword: there is no such field')
    expect(told('body.db.my secret!', excess('my secret!'))).toBe('db: has a field that there is not')
    expect(told('body.my.se cret', excess('my.se cret'))).toBe('body: has a field that there is not')
    expect(told(`body.${'x'.repeat(41)}`, excess('x'.repeat(41)))).toBe('body: has a field that there is not')
  })
})
