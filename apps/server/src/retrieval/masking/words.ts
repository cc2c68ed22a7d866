/** What `fake` is put together from. Nobody's: common names, invented streets, towns and companies. */
export const WORDS = {
  first:
    list(`Ada Adam Alba Alma Amir Anna Anton Arne Aya Bela Bianca Boris Carl Carmen Clara Cleo Dana David Della Diego Edda Elias
    Elif Emil Emma Enzo Erik Esther Eva Fabian Farah Felix Fiona Finn Frida Gita Gloria Greta Hana Hannah Hugo Ida Igor Ines Irma Ivan Iris
    Jana Jonas Julia Kai Karim Karla Kira Klara Lars Layla Lea Leo Lina Lou Luca Lucia Maja Malik Mara Marco Maria Mats Mila Mina Nadia Nele
    Nico Nina Noah Nora Olga Omar Oskar Otto Paula Petra Pia Rafael Rania Rita Robin Romy Rosa Ruth Sami Sara Selma Silas Sofia Sonja Svea Tara
    Theo Tilda Timo Tom Tova Uma Vera Victor Viola Wanda Willa Xenia Yara Yusuf Zora`),
  last: list(`Abel Acker Adler Albrecht Amsel Anders Arden Ash Bach Baker Barlow Becker Berg Birk Blum Bond Brandt Brook Burns Calder Carver
    Castro Conrad Cooper Costa Cruz Dahl Dale Danner Decker Diaz Dorn Drake Eben Ebner Ekman Ellis Engel Falk Farmer Fink Fisher Flores Forster
    Frost Garcia Gerber Graf Grant Grove Haas Hall Hansen Hardt Hart Heller Hill Holm Horn Hunter Ibsen Jansen Jordan Kaiser Keller Kern King Koch
    Kraus Lane Lang Larsen Lehmann Lind Lopez Lund Marsh Martin Mason Meyer Miller Moore Moreno Moser Nash Neumann Nilsen North Olsen Ortega Otto
    Palmer Parker Perez Pohl Porter Quinn Ramos Reed Reich Reyes Richter Rios Roth Ryan Sandor Santos Schmidt Schulz Silva Sommer Stark Stein
    Stone Strand Thorn Torres Turner Vogel Wagner Walker Weber Weiss West Winter Wolf Wood Young Ziegler`),
  street:
    list(`Alder Ash Beech Birch Bridge Canal Cedar Cherry Church Clover Elm Fern Field Garden Hazel Heather Hill Juniper Lake Larch
    Laurel Linden Maple Meadow Mill Oak Orchard Park Pine Poplar River Rose School Spring Spruce Station Walnut Willow`),
  city: list(`Ashford Birkenau Brookvale Clearwater Eastmere Elmstead Fairhaven Feldheim Glenrock Greenfield Harborough Hillcrest Kirkdale
    Lakemoor Lindental Maplewood Millbrook Neustein Northwick Oakridge Pinehurst Redcliff Rivermouth Rosendal Silverton Southmere Steinbach Thornbury
    Valmont Westbrook Willowdale Winterfeld`),
  company:
    list(`Acorn Alpine Amber Arrow Atlas Beacon Birch Cobalt Copper Coral Crescent Delta Ember Falcon Fjord Granite Harbor Helix
    Horizon Indigo Juniper Lumen Maple Meridian Nimbus Nordic Onyx Opal Orbit Pioneer Prism Quartz Raven Sable Summit Tidal Umbra Vertex Willow Zenith`),
  trade: list(
    'Analytics Foods Freight Holdings Instruments Labs Logistics Media Partners Services Supplies Systems Trading Works',
  ),
  text: list(`lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua
    enim ad minim veniam quis nostrud exercitation ullamco laboris nisi aliquip ex ea commodo consequat`),
} as const

function list(text: string): readonly string[] {
  return text.split(/\s+/)
}
