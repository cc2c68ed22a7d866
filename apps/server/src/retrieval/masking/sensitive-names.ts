import type { Column } from './catalog.ts'
import { isText } from './fit.ts'

/** What a column's name may say, and of which types it says it: a date named `email_sent` holds no address. */
interface Meaning {
  what: string
  words: RegExp
  types: readonly Kind[]
}

type Kind = 'text' | 'number' | 'date' | 'id' | 'address'

/**
 * Words of a name, joined by `_`, in English, German, French, Spanish, Italian, Portuguese, Dutch, Polish and Russian, without accents.
 * A part of a longer word counts only where it is one in no other.
 */
const MEANINGS: readonly Meaning[] = [
  { what: 'an email address', types: ['text'], words: /(^|_)e?_?mails?(_|$)|email|correo|courriel|почта/ },
  {
    what: 'a phone number',
    types: ['text', 'number'],
    words:
      /phone|telefon|(^|_)(tel|telef|mobile?(_?(no|num|number))?|mobil|handy|cell|fax|msisdn|movil|cellulare|telemovel)(_|$)|телефон/,
  },
  {
    what: "a person's name",
    types: ['text'],
    words:
      /(^|_)(?<!(?:app|brand|bucket|category|class|column|currency|database|db|device|domain|event|feature|field|file|folder|function|group|host|index|job|key|language|locale|method|metric|model|module|package|plan|plugin|product|project|queue|role|schema|server|service|table|tag|task|template|theme|timezone|type)_)(name|first|last|surname|lastname|firstname|fullname|full_name|nick|nickname|maiden|vorname|nachname|prenom|nom|nombre|apellidos?|nome|cognome|sobrenome|voornaam|achternaam|imie|nazwisko|given|middle|[flm]name|patronymic|otchestvo|card_?holder|(customer|contact|owner|client|patient|employee|member|given|middle|family|display|legal|holder|guest|passenger|sender|recipient|billing|shipping|account)name|имя|фамилия|отчество)(_|$)/,
  },
  { what: 'a user name', types: ['text'], words: /(^|_)(user_?name|login|handle|screen_?name|benutzername)(_|$)/ },
  {
    what: 'a date of birth',
    types: ['date', 'text', 'number'],
    words: /birth|geburt|naissance|nacimiento|nascita|nascimento|geboorte|urodzenia|(^|_)(dob|bday)(_|$)|рожден/,
  },
  {
    what: 'an address',
    types: ['text'],
    words:
      /addr|adress|direccion|indirizzo|endereco|(^|_)(street(_?name)?|strasse|rue|calle|rua|straat|ulica|zip|plz|post_?code|postal|house_?number|hausnummer|адрес)(_|$)|zip_?code|postleitzahl/,
  },
  {
    what: 'a network address',
    types: ['text', 'address'],
    words:
      /(^|_)((last|login|signup|current|remote|client)?ip|ipv4|ipv6|ip_?addr(ess)?|mac|macaddr|remote_?addr|client_?ip)(_|$)/,
  },
  {
    what: 'a bank account',
    types: ['text', 'number'],
    words: /iban|(^|_)(bic|swift|bank_?account|account_?(number|no)|konto(nummer)?|routing)(_|$)/,
  },
  {
    what: 'a card number',
    types: ['text', 'number'],
    words: /credit_?card|kreditkarte|(^|_)(card|cc|pan|cvv|cvc|carte|tarjeta)(_?(number|no|num|nr))?(_|$)/,
  },
  {
    what: 'a document or national id',
    types: ['text', 'number'],
    words:
      /passport|reisepass|passeport|pasaporte|passaporto|licen[cs]e_?(number|no|plate)|(^|_)(ssn|nin|nino|nif|nie|dni|cpf|cnpj|bsn|pesel|snils|svnr|tax_?(id|no|number)|steuer_?id|vat(_?(id|number))?|social_?security(_?\w+)?|national_?id|id_?(card|number)|personnummer|паспорт)(_|$)|sozialversicherung/,
  },
  {
    what: 'a secret',
    types: ['text', 'id'],
    words:
      /passw|(^|_)(pwd|pass|passphrase|pin|secret|token|api_?key|private_?key|access_?key|salt|otp|totp|kennwort|mot_de_passe|contrasena|senha|haslo|wachtwoord|пароль)(_|$)|(secret|token)$/,
  },
  {
    what: 'what somebody earns',
    types: ['number', 'text'],
    words: /salary|(^|_)(wage|income|gehalt|lohn|salaire|sueldo|stipendio|salario)(_|$)|зарплата/,
  },
  {
    what: 'where somebody is',
    types: ['number', 'text'],
    words: /(^|_)(lat|lon|lng|latitude|longitude|geo|geolocation|gps|coordinates?)(_|$)|^long$/,
  },
  {
    what: 'something about a person that nobody else should know',
    types: ['text', 'number'],
    words:
      /(^|_)(gender|sex|religion|marital(_?status)?|nationality|citizenship|ethnic\w*|race|diagnos\w*|blood_?(type|group)|disab\w*|geschlecht|konfession|medical\w*|health\w*|orientation)(_|$)/,
  },
]

/** What the name of a column says it holds; undefined where it says nothing. */
export function meaningOf(column: Pick<Column, 'name' | 'base'>): string | undefined {
  const name = wordsOf(column.name)
  const kind = kindOf(column.base)
  return MEANINGS.find(({ words, types }) => kind !== undefined && types.includes(kind) && words.test(name))?.what
}

/** `customerEMail` and `Straße des Kunden` as `customer_e_mail` and `strasse_des_kunden`. */
function wordsOf(name: string): string {
  return name
    .replaceAll(/(\p{Ll}|\d)(\p{Lu})/gu, '$1_$2')
    .replaceAll(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1_$2')
    .toLowerCase()
    .replaceAll('ß', 'ss')
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .replaceAll(/[^\p{L}\p{N}]+/gu, '_')
}

function kindOf(base: string): Kind | undefined {
  if (isText(base) || ['json', 'jsonb', 'xml', 'hstore', 'bytea', 'name', 'tsvector'].includes(base)) return 'text'
  if (['int2', 'int4', 'int8', 'numeric', 'float4', 'float8', 'money', 'point', 'geometry', 'geography'].includes(base))
    return 'number'
  if (['date', 'timestamp', 'timestamptz'].includes(base)) return 'date'
  if (['inet', 'cidr', 'macaddr', 'macaddr8'].includes(base)) return 'address'
  return base === 'uuid' ? 'id' : undefined
}
